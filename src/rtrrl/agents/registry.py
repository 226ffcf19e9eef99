"""The named agents, and registration of whatever is chosen by name."""

import dataclasses
import functools
import inspect
from collections.abc import Callable
from typing import Any

from rtrrl import cells, gradients
from rtrrl.agents.base import Agent
from rtrrl.agents.model_based import ModelBased
from rtrrl.agents.parts import PARTS, with_parts
from rtrrl.agents.ppo import PPO
from rtrrl.agents.random import Random
from rtrrl.agents.rtrrl import RTRRL
from rtrrl.environments import AbstractEnvironment, registry
from rtrrl.errors import RtrrlError, UnknownNameError
from rtrrl.learning import readouts
from rtrrl.utils.registry import Registry


@dataclasses.dataclass(frozen=True)
class Preset:
    """An agent as a function of the environment, with a description of one line."""

    kind: type[Agent]
    build: Callable[..., Agent]
    description: str

    def __call__(self, environment: str | AbstractEnvironment, **changes: Any) -> Agent:
        """The agent for an environment."""
        return self.build(environment, **changes)


def _paper(description: str, **changes: Any) -> Preset:
    return Preset(RTRRL, functools.partial(RTRRL.paper, **changes), description)


def _ppo(cell: cells.CellConfig, name: str) -> Preset:
    build = functools.partial(PPO.default, cell=cell)
    return Preset(PPO, build, f"recurrent PPO by backpropagation through time, {name}")


_DIAGONAL = gradients.DiagonalRTRL()

PRESETS = {
    "default": Preset(
        RTRRL, RTRRL.default, "recommended: RTU, exact diagonal RTRL, symmetric feedback"
    ),
    "paper-stable": Preset(
        RTRRL, RTRRL.paper_stable, "the paper's cell, rule and feedback; keeps what it learns"
    ),
    "paper": _paper("as published: CT-RNN, RFLO, random feedback, Adam, clipped gradient"),
    "td-lambda": _paper(
        "linear TD(λ): the paper's agent without memory",
        cell=cells.MemorylessConfig(),
        rule=gradients.Immediate(),
    ),
    "reservoir": _paper("the paper's agent with a frozen recurrence", rule=gradients.Frozen()),
    "rtrl": _paper("the paper's agent with exact dense RTRL", rule=gradients.RTRL()),
    "snap1": _paper("the paper's agent with SnAp-1", rule=gradients.SnAp1()),
    "uoro": _paper("the paper's agent with UORO, an unbiased estimate", rule=gradients.UORO()),
    "lru": _paper("the paper's agent on an LRU, exact", cell=cells.LRUConfig(), rule=_DIAGONAL),
    "rtu": _paper("the paper's agent on an RTU, exact", cell=cells.RTUConfig(), rule=_DIAGONAL),
    "symmetric": _paper("the paper's agent without random feedback", feedback=readouts.Symmetric()),
    "no-meta": _paper("the paper's agent without last action and reward", meta_input=False),
    "ppo": Preset(PPO, PPO.default, "recurrent PPO by backpropagation through time, GRU"),
    "ppo-ctrnn": _ppo(cells.CTRNNConfig(), "CT-RNN, as the paper's baseline"),
    "ppo-lstm": _ppo(cells.LSTMConfig(), "LSTM"),
    "ppo-lru": _ppo(cells.LRUConfig(), "LRU"),
    "ppo-rtu": _ppo(cells.RTUConfig(), "RTU"),
    "model-based": Preset(
        ModelBased,
        ModelBased.default,
        "learns a world model online, and its policy on trajectories imagined with it",
    ),
    "random": Preset(Random, Random.uniform, "uniformly random actions: the score of chance"),
}

AGENTS: Registry[Agent] = Registry("agent", PRESETS)
"""The agents by name; a factory takes the environment, and settings as keywords."""


def make_agent(name: str, environment: str | AbstractEnvironment, **changes: Any) -> Agent:
    """The agent of that name for an environment; `changes` are settings, or parts by name.

    >>> make_agent("paper", "TMaze-5", rule="snap1", gamma=0.9).rule
    SnAp1()

    **Raises** `UnknownNameError` for an unknown name, `RtrrlError` where the settings do not fit.
    """
    flags = {part.flag for part in PARTS}
    parts = {key: value for key, value in changes.items() if key in flags}
    settings = {key: value for key, value in changes.items() if key not in flags}
    agent = AGENTS.make(name, environment, **settings)
    if not isinstance(agent, Agent):
        raise RtrrlError(f"the factory of the agent '{name}' returns {agent!r:.80}, not an Agent")
    return with_parts(agent, parts)


def describe_agent(name: str) -> str:
    """One line about an agent; for a registered one, the first of its factory's docstring."""
    if name in PRESETS:
        return PRESETS[name].description
    try:
        factory = AGENTS.factory(name)
    except RtrrlError as error:  # the package that registers it cannot be imported
        return str(error)
    return (inspect.getdoc(factory) or "registered").partition("\n")[0]


def register(kind: str, name: str, factory: Callable[..., Any]) -> None:
    """Add a name of your own, for Python, config.json and the command line.

    `kind` determines what `factory` is called with, and what it must return:

    - `"environment"`: nothing, or the whole numbers in a name such as "Recall-N"; returns an
      `Environment` or a `HostEnvironment`
    - `"agent"`: the environment and settings as keywords; returns an `Agent`
    - `"policy"`: the action space; returns a `Policy`
    - `"cell"`: nothing; returns a `CellConfig`, so that a subclass itself is a factory. Likewise
      for `"rule"`, `"optimizer"`, `"bonus"`, `"trace"`, `"feedback"` and every other part of an
      agent that `rtrrl train --help` lists.

    An installed package registers names by entry points of the group `rtrrl.KIND`, without being
    imported first.

        rtrrl.register("cell", "mingru", MinGRUConfig)
        rtrrl.train("MemoryChain-8", rtrrl.RTRRL.default("MemoryChain-8", cell="mingru"))

    **Raises** `UnknownNameError` for an unknown kind, `RtrrlError` where the name is taken.
    """
    registries = {part.flag: part.members for part in PARTS} | {"agent": AGENTS}
    if kind == "environment":
        registry.register(name, factory)
    elif kind in registries:
        registries[kind].register(name, factory)
    else:
        raise UnknownNameError("kind", str(kind), ["environment", *registries])
