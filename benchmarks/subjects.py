"""What is timed: agents that live in their worlds, and the C loop of the paper's agent."""

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
from rtrrl.training.loop import RunnerState

TASKS = ("CartPole-pos", "MemoryChain-16")
PERIOD = 1024


def paper(task: str, hidden: int = 32, rule: GradientRule = RFLO()) -> RTRRL:  # noqa: B008
    """The paper's agent: CT-RNN, RFLO unless told."""
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


def truncated(task: str, window: int) -> RTRRL:
    """The paper's agent with truncated BPTT in place of RFLO."""
    return paper(task, rule=TBPTT(window=window))


@functools.cache
def births(agent: RTRRL, task: str, agents: int) -> Wrapped:
    """A compiled function of nothing that gives newborn agents in their worlds."""
    world = make(task)
    assert isinstance(world, Environment)

    def born() -> RunnerState:
        keys = jax.random.split(jax.random.key(0), agents)
        return eqx.filter_vmap(lambda key: loop.birth(agent, world, key))(keys)

    return jax.jit(born)


@functools.cache
def living(agent: RTRRL, task: str, agents: int = 1) -> Program:
    """The loop in which agents live and learn; nobody is born to compile it."""
    world = make(task)
    assert isinstance(world, Environment)
    lives = jax.eval_shape(births(agent, task, agents))
    return compiled(lambda lives, steps: loop.live(agent, world, lives, steps), lives)


def live_row(name: str, agent: RTRRL, task: str, agents: int = 1) -> Row:
    """Agents that live and learn."""
    run = living(agent, task, agents)
    return Row(name, births(agent, task, agents)(), run, agents)


def newborn(agent: RTRRL) -> RTRRLState:
    """A state in the first moment of an episode."""
    return agent.begin(agent.init(jax.random.key(0)), jnp.zeros(agent.observation_size))[0]


def tape_for(agent: RTRRL) -> floor.Tape:
    """A recorded stream of the agent's sizes."""
    return floor.Tape.random(PERIOD, agent.observation_size, agent.policy.output_size)


def c_row(agent: RTRRL) -> Row:
    """The C loop of the agent's sizes and settings, learning from a tape."""
    state, tape = newborn(agent), tape_for(agent)
    loop = floor.Floor(agent, state)
    return Row("C loop", loop.pack(state), lambda s, steps: loop.learn(s, steps, tape))
