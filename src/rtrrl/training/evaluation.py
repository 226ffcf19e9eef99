"""Evaluation: a frozen agent runs an exact number of whole episodes."""

import contextlib
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from rtrrl.agents import Agent
from rtrrl.environments import AbstractEnvironment, Environment, HostEnvironment, as_environment
from rtrrl.training.host_evaluation import HostEvaluator
from rtrrl.types import Key, PyTree


def episode_return(agent: Agent, environment: Environment, key: Key) -> Float[Array, ""]:
    """The return of one whole episode, up to and including the reward of its last step.

    The agent must not learn (`agent.frozen(state)`); the episode must end.
    """
    agent_key, reset_key, step_key = jax.random.split(key, 3)
    env_state, observation = environment.reset(reset_key)
    state, action = agent.begin(agent.init(agent_key), observation)

    def step(carry):
        state, env_state, action, total, time, _ = carry
        key = jax.random.fold_in(step_key, time)
        env_state, timestep = environment.step(key, env_state, action)
        state, action, _ = agent.step(
            state, timestep.observation, timestep.reward, timestep.discount
        )
        return state, env_state, action, total + timestep.reward, time + 1, timestep.last

    start = (state, env_state, action, jnp.zeros(()), jnp.zeros((), jnp.int32), jnp.array(False))
    return jax.lax.while_loop(lambda carry: ~carry[-1], step, start)[3]


def evaluate(
    agent: Agent,
    state: Any,
    environment: str | AbstractEnvironment,
    key: Key,
    episodes: int = 10,
    greedy: bool = False,
) -> Float[Array, "episodes"]:
    """The returns of exactly `episodes` whole episodes of the agent, without learning.

    Every episode runs to its end in an environment of its own, so that short ones are not favoured.
    Actions are sampled, or the policy's mode if `greedy`.
    """
    environment = as_environment(environment)
    if isinstance(environment, Environment):
        return _evaluate(agent, state, environment, key, episodes, greedy)
    with_axis = lambda tree: jax.tree.map(lambda x: x[None] if eqx.is_array(x) else x, tree)  # noqa: E731
    return evaluate_all(
        with_axis(agent), with_axis(state), environment, key[None], episodes, greedy
    )[0]


def evaluate_all(
    agents: Agent,
    states: PyTree,
    environment: AbstractEnvironment,
    keys: Array,
    episodes: int = 10,
    greedy: bool = False,
) -> Float[Array, "agents episodes"]:
    """`evaluate` for several agents, along a leading axis of `keys` and of every array."""
    if isinstance(environment, HostEnvironment):
        with contextlib.closing(environment.make_vector(len(keys))) as envs:
            returns = HostEvaluator(agents, greedy).run(states, envs, keys, episodes)
        return jnp.asarray(returns, jnp.float32)
    return eqx.filter_vmap(
        lambda agent, state, key: evaluate(agent, state, environment, key, episodes, greedy),
        in_axes=(eqx.if_array(0), eqx.if_array(0), 0),
    )(agents, states, keys)


def evaluation_key(seed: Int[Array, ""], step: Int[Array, ""] | int) -> Key:
    """The key of a seed's evaluation at a step, distinct from all keys of training."""
    return jax.random.fold_in(jax.random.fold_in(jax.random.key(seed), 0x5EED), step)


def display_key(seed: int) -> Key:
    """The key of `rtrrl eval` and `rtrrl render`, distinct from all keys of training."""
    return jax.random.fold_in(jax.random.key(seed), 0xE7A1)


@eqx.filter_jit
def _evaluate(
    agent: Agent, state: Any, environment: Environment, key: Key, episodes: int, greedy: bool
) -> Float[Array, "episodes"]:
    frozen = agent.frozen(state, greedy)
    keys = jax.random.split(key, episodes)
    return jax.vmap(lambda key: episode_return(frozen, environment, key))(keys)
