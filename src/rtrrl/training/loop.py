"""The compiled training loop: agents and environments, many seeds side by side."""

import dataclasses
from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from rtrrl.agents import Agent
from rtrrl.environments import Environment
from rtrrl.learning.optimizers import ENVS_AXIS
from rtrrl.types import Key, PyTree, Scalar, TimeStep
from rtrrl.utils.prng import inline_threefry


class EpisodeStatistics(eqx.Module):
    """Sums over the steps of one seed since the statistics were last reset."""

    returns: Scalar
    """The sum of the returns of the episodes that ended."""
    episodes: Int[Array, ""]
    squared_td_error: Scalar
    entropy: Scalar
    steps: Int[Array, ""]

    @classmethod
    def zeros(cls) -> "EpisodeStatistics":
        """No step yet."""
        zero, none = jnp.zeros(()), jnp.zeros((), jnp.int32)
        return cls(zero, none, zero, zero, none)


class RunnerState(eqx.Module):
    """One seed: the states of its agent and its environment, in the middle of an episode."""

    agent_state: PyTree
    env_state: PyTree
    action: Array
    episode_return: Scalar
    key: Key
    steps: Int[Array, ""]
    nonfinite_step: Int[Array, ""]
    """The first step at which the environment gave NaN or infinity, else −1.

    Steps are counted from 1; an episode's first observation belongs to the step before it.
    """
    statistics: EpisodeStatistics


def init_runner_state(
    agent: Agent, environment: Environment, key: Key, start: PyTree | None = None
) -> RunnerState:
    """A new agent after the first reset of its environment; `start` as below."""
    env_state, observation = environment.reset(jax.random.split(key, 3)[1])
    return after_first_observation(agent, env_state, observation, key, start)


def after_first_observation(
    agent: Agent,
    env_state: PyTree,
    observation: Float[Array, "..."],
    key: Key,
    start: PyTree | None = None,
) -> RunnerState:
    """A new agent that has chosen its first action, given an environment's first observation.

    If given, `start` is the state that the agent begins with, but for its key.
    """
    agent_key, _, loop_key = jax.random.split(key, 3)
    initial = agent.init(agent_key)
    if start is not None:
        has_key = hasattr(initial, "key")
        initial = dataclasses.replace(start, key=initial.key) if has_key else start
    agent_state, action = agent.begin(initial, observation)
    zero, none = jnp.zeros(()), jnp.zeros((), jnp.int32)
    nonfinite = _first_nonfinite(none - 1, jnp.isfinite(observation).all(), none)
    return RunnerState(
        agent_state, env_state, action, zero, loop_key, none, nonfinite, EpisodeStatistics.zeros()
    )


def init_seed(
    agent: Agent, environment: Environment, key: Key, num_envs: int, start: PyTree | None = None
) -> RunnerState:
    """One seed in `num_envs` copies of its environment, from the agent's state `start` if given.

    With several copies every array has a leading axis over them, except those that the copies
    share (`Agent.shared_state`).
    """
    if num_envs == 1:
        return init_runner_state(agent, environment, key, start)
    keys = jax.random.split(key, num_envs)
    states = jax.vmap(lambda key: init_runner_state(agent, environment, key, start))(keys)
    return _with_shared(agent, states, lambda leaf: leaf[0])


def first_agent_state(agent: Agent, state: RunnerState, num_envs: int) -> PyTree:
    """The agent's state in the first of its environments."""
    if num_envs == 1:
        return state.agent_state
    own = _with_shared(agent, jax.tree.map(lambda _: True, state), lambda _: False)
    return jax.tree.map(
        lambda leaf, own: leaf[0] if own else leaf, state.agent_state, own.agent_state
    )


def train_steps(
    agent: Agent,
    environment: Environment,
    states: RunnerState,
    steps: Int[Array, ""],
    num_envs: int = 1,
) -> RunnerState:
    """`steps` steps of every seed; arrays among the agent's settings have one entry per seed."""
    # on a CPU one seed after the other keeps its state in the nearest cache; an accelerator needs
    # all seeds at once
    run = _one_after_another if jax.default_backend() == "cpu" else _side_by_side
    return run(agent, environment, states, steps, num_envs)


def _one_after_another(
    agent: Agent,
    environment: Environment,
    states: RunnerState,
    steps: Int[Array, ""],
    num_envs: int,
) -> RunnerState:
    """Each seed through all its steps."""
    settings, rest = eqx.partition(agent, eqx.is_array)
    arrays, static = eqx.partition(states, eqx.is_array)
    seeds = jax.tree.leaves(arrays)[0].shape[0]

    def one(i: Int[Array, ""], arrays: PyTree) -> PyTree:
        # keeps an axis of length 1: XLA makes faster code of that than of none
        select = lambda leaf: jax.lax.dynamic_slice_in_dim(leaf, i, 1)  # noqa: E731
        own_agent = eqx.combine(jax.tree.map(select, settings), rest)
        own_state = eqx.combine(jax.tree.map(select, arrays), static)
        after = _side_by_side(own_agent, environment, own_state, steps, num_envs)
        put = lambda leaf, new: jax.lax.dynamic_update_slice_in_dim(leaf, new, i, 0)  # noqa: E731
        return jax.tree.map(put, arrays, eqx.filter(after, eqx.is_array))

    return eqx.combine(jax.lax.fori_loop(0, seeds, one, arrays), static)


def _side_by_side(
    agent: Agent,
    environment: Environment,
    states: RunnerState,
    steps: Int[Array, ""],
    num_envs: int,
) -> RunnerState:
    """All seeds step by step."""
    step, restart = (_step, _restart) if num_envs == 1 else (_step_envs, _restart_envs)
    step = eqx.filter_vmap(step, in_axes=(eqx.if_array(0), None, 0))
    restart = eqx.filter_vmap(restart, in_axes=(eqx.if_array(0), None, 0, 0))

    def body(_, states: RunnerState) -> RunnerState:
        states, last = step(agent, environment, states)
        # one branch for all seeds, so that resets are computed only when an episode has ended
        return jax.lax.cond(
            last.any(), lambda s: restart(agent, environment, s, last), lambda s: s, states
        )

    return jax.lax.fori_loop(0, steps, body, states)


def _step(
    agent: Agent, environment: Environment, state: RunnerState
) -> tuple[RunnerState, Bool[Array, ""]]:
    """The environment steps, the agent learns and acts."""
    key = jax.random.fold_in(inline_threefry(state.key), 2 * state.steps)
    env_state, timestep = environment.step(key, state.env_state, state.action)
    return after_step(agent, state, env_state, timestep), timestep.last


def after_step(
    agent: Agent, state: RunnerState, env_state: PyTree, timestep: TimeStep
) -> RunnerState:
    """The agent learns from the time step and acts."""
    agent_state, action, info = agent.step(
        state.agent_state, timestep.observation, timestep.reward, timestep.discount
    )
    finite = jnp.isfinite(timestep.reward) & jnp.isfinite(timestep.observation).all()
    # after a non-finite action the agent is reported as diverged, not the environment
    finite |= ~jnp.isfinite(state.action).all()
    episode_return = state.episode_return + timestep.reward
    statistics = EpisodeStatistics(
        returns=state.statistics.returns + jnp.where(timestep.last, episode_return, 0.0),
        episodes=state.statistics.episodes + timestep.last,
        squared_td_error=state.statistics.squared_td_error + info.td_error**2,
        entropy=state.statistics.entropy + info.entropy,
        steps=state.statistics.steps + 1,
    )
    return RunnerState(
        agent_state=agent_state,
        env_state=env_state,
        action=action,
        episode_return=jnp.where(timestep.last, 0.0, episode_return),
        key=state.key,
        steps=state.steps + 1,
        nonfinite_step=_first_nonfinite(state.nonfinite_step, finite, state.steps + 1),
        statistics=statistics,
    )


def _restart(
    agent: Agent, environment: Environment, state: RunnerState, last: Bool[Array, ""]
) -> RunnerState:
    """Reset the environment and begin the next episode where `last` is true."""
    key = jax.random.fold_in(inline_threefry(state.key), 2 * state.steps + 1)
    env_state, observation = environment.reset(key)
    return after_reset(agent, state, env_state, observation, last)


def after_reset(
    agent: Agent,
    state: RunnerState,
    env_state: PyTree,
    observation: Float[Array, "..."],
    last: Bool[Array, ""],
) -> RunnerState:
    """The agent begins an episode where `last` is true; elsewhere nothing changes."""
    agent_state, action = agent.begin(state.agent_state, observation)
    finite = jnp.isfinite(observation).all()
    after = eqx.tree_at(
        lambda s: (s.agent_state, s.env_state, s.action, s.nonfinite_step),
        state,
        (
            agent_state,
            env_state,
            action,
            _first_nonfinite(state.nonfinite_step, finite, state.steps),
        ),
        is_leaf=_is_none,
    )
    # leaves that `begin` returns unchanged, such as the weights, need no select
    return jax.tree.map(
        lambda new, old: old if new is old else jnp.where(last, new, old), after, state
    )


def _step_envs(
    agent: Agent, environment: Environment, states: RunnerState
) -> tuple[RunnerState, Bool[Array, "envs"]]:
    axes = _with_shared(agent, jax.tree.map(lambda _: 0, states), lambda _: None)
    step = lambda state: _step(agent, environment, state)  # noqa: E731
    return jax.vmap(step, (axes,), (axes, 0), axis_name=ENVS_AXIS)(states)


def _restart_envs(
    agent: Agent, environment: Environment, states: RunnerState, last: Bool[Array, "envs"]
) -> RunnerState:
    axes = _with_shared(agent, jax.tree.map(lambda _: 0, states), lambda _: None)
    restart = lambda state, last: _restart(agent, environment, state, last)  # noqa: E731
    return jax.vmap(restart, (axes, 0), axes)(states, last)


def _with_shared(agent: Agent, states: RunnerState, change: Callable[[Any], Any]) -> RunnerState:
    """`change` applied to every leaf that the environments of one agent share."""
    return eqx.tree_at(
        lambda state: agent.shared_state(state.agent_state),
        states,
        replace_fn=lambda part: jax.tree.map(change, part),
        is_leaf=_is_none,
    )


def _is_none(node: Any) -> bool:
    return node is None


def _first_nonfinite(
    earlier: Int[Array, ""], finite: Bool[Array, ""], step: Int[Array, ""]
) -> Int[Array, ""]:
    """`step` if it is the first one that is not `finite`; `earlier` is −1, or a step before."""
    return jnp.where(finite | (earlier >= 0), earlier, step)
