"""The evaluation protocol: a frozen agent plays an exact number of whole episodes."""

import contextlib
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from rtrrl.agents import Agent
from rtrrl.environments import AbstractEnvironment, Environment, HostEnvironment
from rtrrl.training.host_evaluation import HostEvaluator
from rtrrl.types import Key, PyTree


def play_episode(player: Agent, environment: Environment, key: Key) -> Float[Array, ""]:
    """The return of one whole episode, the terminating reward included, nothing after it.

    The player must not learn (`agent.frozen(state)`); the environment must end.
    """
    life_key, start_key, world_key = jax.random.split(key, 3)
    world, observation = environment.reset(start_key)
    state, action = player.begin(player.init(life_key), observation)

    def step(carry):
        state, world, action, total, time, _ = carry
        world, seen = environment.step(jax.random.fold_in(world_key, time), world, action)
        state, action, _ = player.step(state, seen.observation, seen.reward, seen.discount)
        return state, world, action, total + seen.reward, time + 1, seen.last

    start = (state, world, action, jnp.zeros(()), jnp.zeros((), jnp.int32), jnp.array(False))
    return jax.lax.while_loop(lambda carry: ~carry[-1], step, start)[3]


def evaluate(
    agent: Agent,
    state: Any,
    environment: AbstractEnvironment,
    key: Key,
    episodes: int = 10,
    greedy: bool = False,
) -> Float[Array, "episodes"]:
    """The returns of exactly `episodes` whole episodes of the agent as it is now.

    Every episode has a stream of its own and runs to its end, so that short ones are not
    favoured. Actions are sampled, or the policy's mode if `greedy`.
    """
    if isinstance(environment, HostEnvironment):
        alone = lambda tree: jax.tree.map(lambda x: x[None] if eqx.is_array(x) else x, tree)  # noqa: E731
        return evaluate_all(alone(agent), alone(state), environment, key[None], episodes, greedy)[0]
    assert isinstance(environment, Environment)
    return _evaluate(agent, state, environment, key, episodes, greedy)


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
        with contextlib.closing(environment.open(len(keys))) as worlds:
            returns = HostEvaluator(agents, greedy).play(states, worlds, keys, episodes)
        return jnp.asarray(returns, jnp.float32)
    return eqx.filter_vmap(
        lambda agent, state, key: evaluate(agent, state, environment, key, episodes, greedy),
        in_axes=(eqx.if_array(0), eqx.if_array(0), 0),
    )(agents, states, keys)


def evaluation_key(seed: Int[Array, ""], age: Int[Array, ""] | int) -> Key:
    """Of a seed's evaluation at a step: apart from every key of training, and new every time."""
    return jax.random.fold_in(jax.random.fold_in(jax.random.key(seed), 0x5EED), age)


def showing_key(seed: int) -> Key:
    """The key of episodes that are played to be looked at: apart from every key of training."""
    return jax.random.fold_in(jax.random.key(seed), 0xE7A1)


@eqx.filter_jit
def _evaluate(
    agent: Agent, state: Any, environment: Environment, key: Key, episodes: int, greedy: bool
) -> Float[Array, "episodes"]:
    player = agent.frozen(state, greedy)
    keys = jax.random.split(key, episodes)
    return jax.vmap(lambda key: play_episode(player, environment, key))(keys)
