"""What is timed: agents that train in an environment, and the C loop of the paper's agent."""

import dataclasses
import functools
from collections.abc import Callable

import equinox as eqx
import floor
import jax
import jax.numpy as jnp
from jax.stages import Wrapped
from timing import Program, Row, compiled

from rtrrl.agents import RTRRL, RTRRLState
from rtrrl.cells import CTRNNConfig
from rtrrl.environments import Environment, make
from rtrrl.gradients import RFLO, RTRL, TBPTT, UORO, GradientRule, SnAp1
from rtrrl.training import loop

TASKS = ("CartPole-pos", "MemoryChain-16")


def paper(task: str, hidden: int = 32, rule: GradientRule = RFLO()) -> RTRRL:  # noqa: B008
    """The paper's agent: CT-RNN and, by default, RFLO."""
    return RTRRL.paper(task, cell=CTRNNConfig(hidden_size=hidden), rule=rule)


def default(task: str, hidden: int = 32) -> RTRRL:
    """The default agent: RTU, exact diagonal RTRL."""
    agent = RTRRL.default(task)
    return dataclasses.replace(agent, cell=dataclasses.replace(agent.cell, hidden_size=hidden))


AGENTS: dict[str, Callable[[str, int], RTRRL]] = {
    "CT-RNN + RFLO": paper,
    "RTU + diagonal RTRL": default,
    "CT-RNN + SnAp-1": functools.partial(paper, rule=SnAp1()),
    "CT-RNN + UORO": functools.partial(paper, rule=UORO()),
    "CT-RNN + dense RTRL": functools.partial(paper, rule=RTRL()),
}


def truncated(task: str, hidden: int = 32, window: int = 16) -> RTRRL:
    """The paper's agent with truncated BPTT instead of RFLO."""
    return paper(task, hidden, TBPTT(window=window))


def environment(task: str) -> Environment:
    """The compiled environment of a task."""
    made = make(task)
    assert isinstance(made, Environment)
    return made


@functools.cache
def initializer(agent: RTRRL, task: str, seeds: int) -> Wrapped:
    """A compiled function without arguments that returns the initial states of all seeds."""

    def init() -> loop.RunnerState:
        keys = jax.random.split(jax.random.key(0), seeds)
        return eqx.filter_vmap(lambda key: loop.init_runner_state(agent, environment(task), key))(
            keys
        )

    return jax.jit(init)


@functools.cache
def training(agent: RTRRL, task: str, seeds: int = 1) -> Program:
    """The compiled training loop; no state is computed to compile it."""
    states = jax.eval_shape(initializer(agent, task, seeds))
    run = lambda states, steps: loop.train_steps(agent, environment(task), states, steps)  # noqa: E731
    return compiled(run, states)


def training_row(name: str, agent: RTRRL, task: str, seeds: int = 1) -> Row:
    """Agents that act in the task's environment and learn."""
    return Row(name, initializer(agent, task, seeds)(), training(agent, task, seeds), seeds)


def initial_state(agent: RTRRL) -> RTRRLState:
    """The agent's state after the first observation of an episode."""
    return agent.begin(agent.init(jax.random.key(0)), jnp.zeros(agent.observation_size))[0]


def c_loop_row(agent: RTRRL) -> Row:
    """The C loop of the agent's sizes and settings, which learns from a recorded stream."""
    state, recording = initial_state(agent), floor.Recording.random(agent)
    c = floor.CLoop(agent, state)
    return Row("C loop", c.pack(state), lambda s, steps: c.learn(s, steps, recording))
