"""Evaluation: a frozen agent runs an exact number of whole episodes."""

import contextlib
import warnings
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, Shaped

from rtrrl.agents import Agent
from rtrrl.agents.base import check_fit, check_state
from rtrrl.agents.tracing import with_traced_settings
from rtrrl.environments import AbstractEnvironment, Environment, HostEnvironment, as_environment
from rtrrl.environments.checks import checked
from rtrrl.errors import RtrrlWarning
from rtrrl.runs.config import MAX_EPISODE_STEPS, count
from rtrrl.training.compiled_evaluation import CompiledEvaluation, episode_shapes, finish
from rtrrl.training.evaluation_protocol import Poll
from rtrrl.training.host_evaluation import HostEvaluator
from rtrrl.types import Key, PyTree
from rtrrl.utils.prng import as_key


def evaluate(
    agent: Agent,
    state: Any,
    environment: str | AbstractEnvironment,
    key: Key,
    episodes: int = 10,
    greedy: bool = False,
    max_episode_steps: int = MAX_EPISODE_STEPS,
) -> Float[Array, "episodes"]:
    """The returns of exactly `episodes` whole episodes of the agent, without learning.

    Every episode runs to its end in an environment of its own, so that short ones are not favoured.
    Actions are sampled, or the policy's mode if `greedy`.

    An episode that has not ended after `max_episode_steps` steps is cut: its return up to there
    counts, and an `RtrrlWarning` says so.

    **Raises** `RtrrlError` where the agent was made for another environment, the state is not one
    of the agent, or a number is below 1.
    """
    environment = as_environment(environment)
    check_fit(agent, environment)
    check_state(agent, state)
    with_axis = lambda x: x[None] if eqx.is_array(x) else x  # noqa: E731
    agents, states = jax.tree.map(with_axis, (agent, state))
    return evaluate_all(
        agents,
        states,
        environment,
        as_key(key)[None],
        count("episodes", episodes),
        greedy,
        count("max_episode_steps", max_episode_steps),
    )[0]


def evaluate_all(
    agents: Agent,
    states: PyTree,
    environment: AbstractEnvironment,
    keys: Array,
    episodes: int = 10,
    greedy: bool = False,
    max_episode_steps: int = MAX_EPISODE_STEPS,
    poll: Poll = lambda _: None,
) -> Float[Array, "agents episodes"]:
    """`evaluate` for several agents, along a leading axis of `keys` and of every array."""
    check_fit(agents, environment)
    agents = with_traced_settings(agents, (len(keys),))
    if isinstance(environment, HostEnvironment):
        with contextlib.closing(environment.make_vector(len(keys))) as envs:
            result = HostEvaluator(agents, greedy).run(
                states, envs, keys, episodes, max_episode_steps, poll
            )
    else:
        assert isinstance(environment, Environment)
        environment = checked(environment)
        evaluation = CompiledEvaluation(
            agents,
            environment,
            episodes=episodes,
            greedy=greedy,
            max_episode_steps=max_episode_steps,
        )
        evaluation.begin(states, keys, episode_shapes(environment, agents, states))
        result = finish([evaluation], poll)
    if result.cut.any():
        message = result.cut_message(environment.name, max_episode_steps)
        warnings.warn(message, RtrrlWarning, stacklevel=2)
    return jnp.array(result.returns.astype(np.float32))


def evaluation_key(seed: Shaped[Array, ""], step: Int[Array, ""] | int) -> Key:
    """The key of a seed's evaluation at a step, distinct from all keys of training."""
    return jax.random.fold_in(jax.random.fold_in(jax.random.key(seed), 0x5EED), step)


def display_key(seed: int) -> Key:
    """The key of `rtrrl eval` and `rtrrl render`, distinct from all keys of training."""
    return jax.random.fold_in(jax.random.key(np.uint32(seed)), 0xE7A1)
