"""Rollouts: run an agent for some steps, and return chosen quantities as arrays."""

import contextlib
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Int

from rtrrl.agents import Agent, Info
from rtrrl.agents.base import check_fit, check_state
from rtrrl.agents.tracing import with_traced_settings
from rtrrl.environments import AbstractEnvironment, Environment, HostEnvironment, as_environment
from rtrrl.environments.checks import checked
from rtrrl.environments.host import VectorEnvironment, episode_seed
from rtrrl.errors import RtrrlError, UnknownNameError
from rtrrl.runs.config import count
from rtrrl.training.compiled_evaluation import FIRST_SLICE
from rtrrl.types import Key, PyTree, Scalar, TimeStep
from rtrrl.utils import slicing
from rtrrl.utils.prng import as_key, zeros_like


class Step(NamedTuple):
    """One step of a rollout: the action, the time step it led to, and the states after both."""

    action: Array
    timestep: TimeStep
    info: Info
    agent_state: Any
    env_state: Any
    """Of an environment that Python steps, the open environment itself."""


Quantity = Callable[[Step], PyTree]

QUANTITIES: dict[str, Quantity] = {
    "action": lambda step: step.action,
    "observation": lambda step: step.timestep.observation,
    "reward": lambda step: step.timestep.reward,
    "discount": lambda step: step.timestep.discount,
    "last": lambda step: step.timestep.last,
    "td_error": lambda step: step.info.td_error,
    "value": lambda step: step.info.value,
    "entropy": lambda step: step.info.entropy,
    "h": lambda step: step.agent_state.last.h,
    "params": lambda step: step.agent_state.params,
    "traces": lambda step: step.agent_state.traces,
    "influence": lambda step: step.agent_state.influence,
    "params_norm": lambda step: _norm(step.agent_state.params),
    "traces_norm": lambda step: _norm(step.agent_state.traces),
    "influence_norm": lambda step: _norm(step.agent_state.influence),
    "agent_state": lambda step: step.agent_state,
    "env_state": lambda step: step.env_state,
}
"""What can be recorded by name. A norm is the Euclidean norm over all numbers of it."""


class Rollout(dict[str, Any]):
    """The recorded quantities by name, each an array with a leading axis over the steps.

    Row t holds the t-th action, and what it led to: the time step's observation, reward and
    discount, the TD error and value of the agent's step, and the states after it. An episode's
    first observation belongs to no action: that of the first episode is in `first`.
    """

    first: dict[str, Any]
    """The same quantities after the first reset; zero where there is none yet (reward, δ)."""
    state: Any
    """The agent's state at the end."""


def rollout(
    agent: Agent,
    state: Any,
    env: str | AbstractEnvironment,
    steps: int,
    *,
    record: Sequence[str] | Mapping[str, Quantity] = ("action", "reward", "td_error", "value"),
    key: Key | None = None,
    episodes: int | None = None,
    render: bool = False,
) -> Rollout:
    """Run an agent for `steps` steps, beginning a new episode whenever one ends.

    The agent learns as it does in training. To record it without learning, pass the frozen agent
    and its state:

        frozen = agent.frozen(state)
        rollout(frozen, frozen.init(key), env, 500)

    `record` are names of `QUANTITIES`, or functions of a `Step` by names of your own. With
    `episodes` the rollout ends after that many of them, or after `steps`. In an environment that
    JAX compiles the rollout is one compiled program. With `render` an environment that Python steps
    can be rendered by a recorded function.

    >>> import jax, rtrrl
    >>> agent = rtrrl.RTRRL.default("TMaze-3")
    >>> arrays = rollout(agent, agent.init(jax.random.key(0)), "TMaze-3", 10, record=("value", "h"))
    >>> arrays["value"].shape, arrays["h"].shape
    ((10,), (10, 2, 32))

    **Raises** `UnknownNameError` for an unknown quantity; `RtrrlError` where the agent does not
    have it or was made for another environment, the state is not one of the agent, or `steps` or
    `episodes` is not a whole number of 1 or more.
    """
    environment = as_environment(env)
    check_fit(agent, environment)
    check_state(agent, state)
    agent = with_traced_settings(agent)
    key = jax.random.key(0) if key is None else as_key(key)
    steps = count("steps", steps)
    episodes = None if episodes is None else count("episodes", episodes)
    if isinstance(record, Mapping):
        quantities = dict(record)
    else:
        for name in record:
            if name not in QUANTITIES:
                raise UnknownNameError("quantity", name, QUANTITIES)
        quantities = {name: QUANTITIES[name] for name in record}
    try:
        if isinstance(environment, Environment):
            static = tuple(quantities.items())
            first, rows, last, state = _compiled_rollout(
                agent, state, checked(environment), steps, static, key
            )
        else:
            assert isinstance(environment, HostEnvironment)
            with contextlib.closing(environment.make_vector(1, render=render)) as envs:
                first, rows, last, state = host_rollout(
                    agent, state, envs, steps, quantities, key, episodes
                )
    except AttributeError as error:
        raise RtrrlError(
            f"{type(agent).__name__} lacks a recorded quantity: its state has no '{error.name}'"
        ) from error
    if episodes is not None and np.sum(last) >= episodes:
        end = int(np.flatnonzero(last)[episodes - 1]) + 1
        rows = jax.tree.map(lambda leaf: leaf[:end], rows)
    in_order = lambda values: {name: values[name] for name in quantities}  # noqa: E731
    result = Rollout(in_order(rows))
    result.first, result.state = in_order(first), state
    return result


def _compiled_rollout(
    agent: Agent,
    state: Any,
    environment: Environment,
    steps: int,
    quantities: tuple[tuple[str, Quantity], ...],
    key: Key,
) -> PyTree:
    """In slices, so that Ctrl-C is heard; results as of `host_rollout`."""
    kept = agent, environment, quantities, key
    first, carry = _begin(kept, state)
    row = eqx.filter_eval_shape(_step, kept, carry)[1]
    rows = jax.tree.map(
        lambda leaf: zeros_like(jax.ShapeDtypeStruct((steps, *leaf.shape), leaf.dtype)), row
    )
    count = 0  # compile before the time of a step is measured
    while carry.steps < steps:
        start = time.perf_counter()
        end = min(steps, int(carry.steps) + count)
        carry, rows = _record((kept, jnp.array(end, jnp.int32)), carry, rows)
        jax.block_until_ready(rows)
        count = slicing.next_count(count, time.perf_counter() - start) if count else FIRST_SLICE
    recorded, last = rows
    return first, recorded, last, carry.agent_state


class _Running(eqx.Module):
    """A rollout in progress, before its next action."""

    agent_state: Any
    env_state: Any
    action: Array
    steps: Int[Array, ""]


_Kept = tuple[Agent, Environment, tuple[tuple[str, Quantity], ...], Key]
"""Agent, environment, the recorded quantities, and the key."""


@eqx.filter_jit
def _begin(kept: _Kept, state: Any) -> tuple[dict[str, PyTree], _Running]:
    agent, environment, quantities, key = kept
    # the keys of an episode of an evaluation, whose first one this is
    _, reset_key, _ = jax.random.split(key, 3)
    env_state, observation = environment.reset(reset_key)
    state, action = agent.begin(state, observation)
    first = _first(state, env_state, observation, action)
    running = _Running(state, env_state, action, jnp.zeros((), jnp.int32))
    return {name: quantity(first) for name, quantity in quantities}, running


def _step(kept: _Kept, running: _Running) -> tuple[_Running, tuple[dict[str, PyTree], Array]]:
    """One step: what is recorded of it, and whether the episode ended, which begins anew then."""
    agent, environment, quantities, key = kept
    _, reset_key, step_key = jax.random.split(key, 3)
    env_state, timestep = environment.step(
        jax.random.fold_in(step_key, running.steps), running.env_state, running.action
    )
    state, next_action, info = agent.step(
        running.agent_state, timestep.observation, timestep.reward, timestep.discount
    )
    step = Step(running.action, timestep, info, state, env_state)
    row = {name: quantity(step) for name, quantity in quantities}

    def restart() -> tuple[Any, Any, Array]:
        env_state, observation = environment.reset(jax.random.fold_in(reset_key, running.steps))
        new_state, action = agent.begin(state, observation)
        return new_state, env_state, action

    following = jax.lax.cond(timestep.last, restart, lambda: (state, env_state, next_action))
    state, env_state, action = following
    return _Running(state, env_state, action, running.steps + 1), (row, timestep.last)


@eqx.filter_jit(donate="all-except-first")
def _record(
    kept_and_end: tuple[_Kept, Int[Array, ""]], running: _Running, rows: PyTree
) -> tuple[_Running, PyTree]:
    """Record the steps before `end`."""
    kept, end = kept_and_end

    def body(carry: tuple[_Running, PyTree]) -> tuple[_Running, PyTree]:
        running, rows = carry
        after, row = _step(kept, running)
        put = jax.lax.dynamic_update_index_in_dim
        return after, jax.tree.map(lambda rows, new: put(rows, new, running.steps, 0), rows, row)

    return jax.lax.while_loop(lambda carry: carry[0].steps < end, body, (running, rows))


def host_rollout(
    agent: Agent,
    state: Any,
    envs: VectorEnvironment,
    steps: int,
    quantities: Mapping[str, Quantity],
    key: Key,
    episodes: int | None = None,
) -> tuple[dict, dict, np.ndarray, Any]:
    """The first row, the others stacked, which of them are last, and the agent's final state."""
    begin, step = eqx.filter_jit(agent.begin), eqx.filter_jit(agent.step)
    # the seeds of `HostEvaluator`, whose first episode this is
    words = np.asarray(jax.random.key_data(key)).ravel().tolist()
    every = np.array([True])

    def row(step: Step) -> dict[str, Any]:
        values = {name: quantity(step) for name, quantity in quantities.items()}
        return jax.tree.map(np.asarray, values)

    observation = envs.reset([episode_seed(*words, 0)], every)[0]
    state, action = begin(state, observation)
    first = row(_first(state, envs, jnp.array(observation), action))
    rows, last = [], []
    while len(rows) < steps and (episodes is None or sum(last) < episodes):
        if last and last[-1]:
            observation = envs.reset([episode_seed(*words, sum(last))], every)[0]
            state, action = begin(state, observation)
        timestep = TimeStep(*(jnp.array(part[0]) for part in envs.step(np.asarray(action)[None])))
        state, next_action, info = step(
            state, timestep.observation, timestep.reward, timestep.discount
        )
        rows.append(row(Step(action, timestep, info, state, envs)))
        last.append(bool(timestep.last))
        action = next_action
    return first, jax.tree.map(lambda *leaves: np.stack(leaves), *rows), np.array(last), state


def _first(state: Any, env_state: Any, observation: Array, action: Array) -> Step:
    """The step before the first action."""
    zero = jnp.zeros(())
    timestep = TimeStep(observation, zero, zero + 1, jnp.zeros((), bool))
    return Step(jnp.zeros_like(action), timestep, Info(zero, zero, zero), state, env_state)


def _norm(tree: PyTree) -> Scalar:
    leaves = jax.tree.leaves(eqx.filter(tree, eqx.is_inexact_array))
    return jnp.sqrt(sum((jnp.sum(leaf**2) for leaf in leaves), jnp.zeros(())))
