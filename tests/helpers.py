"""Ways to run an agent for some steps and to compare the outcome, shared by all tests."""

import contextlib
import functools
from collections.abc import Iterator
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax._src import compiler  # its options can be set for programs that others compile

from rtrrl.agents import Agent, Info
from rtrrl.environments import Environment
from rtrrl.training.evaluation import evaluate_all
from rtrrl.training.loop import RunnerState, init_runner_state, train_steps
from rtrrl.types import PyTree
from tests.members import QUICK

_quick_filter_jit = functools.partial(eqx.filter_jit, compiler_options=QUICK)
QUICK_FLAGS = "--xla_backend_optimization_level=0 --xla_cpu_use_fusion_emitters=false"
"""The same options in `XLA_FLAGS`, for a subprocess."""

init = _quick_filter_jit(lambda agent, key: agent.init(key))
begin = _quick_filter_jit(lambda agent, *given: agent.begin(*given))
step = _quick_filter_jit(lambda agent, *given: agent.step(*given))


def with_array_settings(agent: Agent) -> Agent:
    """The agent with arrays for floats: agents that differ in numbers alone are compiled once."""
    return jax.tree.map(lambda a: jnp.asarray(a) if isinstance(a, float) else a, agent)


def run_steps(
    agent: Agent, state: PyTree, observations: Any, rewards: Any, end_discount: float = 1.0
) -> tuple[list[PyTree], list[Info]]:
    """One episode: `begin` at the first observation and a step for each of the others.

    `end_discount` is the discount of the last step. Returns the state after `begin` and after each
    step, and each step's `Info`.
    """
    agent = with_array_settings(agent)
    state, _ = begin(agent, state, jnp.asarray(observations[0]))
    states, infos = [state], []
    for t, (observation, reward) in enumerate(zip(observations[1:], rewards, strict=True), 1):
        discount = jnp.asarray(end_discount if t == len(rewards) else 1.0)
        state, _, info = step(agent, state, jnp.asarray(observation), jnp.asarray(reward), discount)
        states.append(state)
        infos.append(info)
    return states, infos


def scan_steps(agent: Agent, key: jax.Array, numbers: jax.Array) -> tuple[PyTree, Info]:
    """The last state of a new agent and all `Info`s, inside other transformations.

    The columns of `numbers` are the observations of each step, and last the reward.
    """
    state, _ = agent.begin(agent.init(key), jnp.ones(numbers.shape[1] - 1))

    def body(state, row):
        state, _, info = agent.step(state, row[:-1], row[-1], jnp.ones(()))
        return state, info

    return jax.lax.scan(body, state, numbers)


def train_seeds(
    agent: Agent, environment: Environment, steps: int, seeds: int = 4
) -> tuple[PyTree, PyTree]:
    """The states of several seeds' agents after their first observation and after training."""
    first, last = run_loop(agent, environment, steps, seeds)
    return first.agent_state, last.agent_state


def run_loop(
    agent: Agent, environment: Environment, steps: int, seeds: int = 1
) -> tuple[RunnerState, RunnerState]:
    """The first and the last states of the training loop, for several seeds."""
    first = _first_states(agent, environment, jax.random.split(jax.random.key(0), seeds))
    return first, _train(agent, environment, first, jnp.array(steps, jnp.int32))


@_quick_filter_jit
def _first_states(agent: Agent, environment: Environment, keys: jax.Array) -> RunnerState:
    return jax.vmap(lambda key: init_runner_state(agent, environment, key))(keys)


@_quick_filter_jit
def _train(
    agent: Agent, environment: Environment, states: RunnerState, steps: jax.Array
) -> RunnerState:
    return train_steps(agent, environment, states, steps)


def mean_returns(agent: Agent, environment: Environment, states: PyTree) -> np.ndarray:
    """Each seed's mean return over 50 episodes."""
    seeds = jax.tree.leaves(states)[0].shape[0]
    keys = jax.random.split(jax.random.key(1), seeds)
    return np.asarray(evaluate_all(agent, states, environment, keys, 50)).mean(axis=1)


def element(tree: PyTree, index: int) -> PyTree:
    """The entry of every array at an index of its first axis."""
    return jax.tree.map(lambda leaf: leaf[index] if eqx.is_array(leaf) else leaf, tree)


def assert_same_bits(ours: PyTree, theirs: PyTree) -> None:
    """Same structure, and the same numbers in all arrays, keys included."""
    assert jax.tree.structure(ours) == jax.tree.structure(theirs)
    for a, b in zip(jax.tree.leaves(ours), jax.tree.leaves(theirs), strict=True):
        if eqx.is_array(a) and jnp.issubdtype(a.dtype, jax.dtypes.prng_key):
            a, b = jax.random.key_data(a), jax.random.key_data(b)
        np.testing.assert_array_equal(a, b)


@contextlib.contextmanager
def quick_compilation() -> Iterator[None]:
    """Compile without most optimizations, also in subprocesses: for programs that run briefly."""
    get_options = compiler.get_compile_options

    def quick_options(*args: Any, env_options_overrides: Any = None, **kwargs: Any) -> Any:
        chosen = QUICK | (env_options_overrides or {})
        return get_options(*args, env_options_overrides=chosen, **kwargs)

    jax.devices()  # this process has read the flags that are set below for others
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(compiler, "get_compile_options", quick_options)
        patch.setenv("XLA_FLAGS", QUICK_FLAGS)
        yield
