"""The named agents: every system that is compared, each a composition of the same parts."""

import dataclasses
import functools
from collections.abc import Callable
from typing import Any

from rtrrl import cells, gradients
from rtrrl.agents import PPO, RTRRL, Agent, ModelBased, Random
from rtrrl.environments import AbstractEnvironment
from rtrrl.errors import UnknownNameError
from rtrrl.learning import readouts


@dataclasses.dataclass(frozen=True)
class Preset:
    """An agent as a function of the task, and what it is in one line."""

    kind: type[Agent]
    build: Callable[..., Agent]
    description: str


def _paper(description: str, **changes: Any) -> Preset:
    return Preset(RTRRL, functools.partial(RTRRL.paper, **changes), description)


def _default(description: str, **changes: Any) -> Preset:
    return Preset(RTRRL, functools.partial(RTRRL.default, **changes), description)


def _ppo(cell: cells.CellConfig, name: str) -> Preset:
    return Preset(
        PPO, functools.partial(PPO.default, cell=cell), f"recurrent PPO by BPTT, on {name}"
    )


_DIAGONAL = gradients.DiagonalRTRL()

PRESETS: dict[str, Preset] = {
    "default": _default("the one to start with: RTU, exact diagonal RTRL, symmetric feedback"),
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
    "no-meta": _paper("the paper's agent, last action and reward hidden", meta_input=False),
    "ppo": Preset(PPO, PPO.default, "recurrent PPO by BPTT, on GRU"),
    "ppo-ctrnn": _ppo(cells.CTRNNConfig(), "CT-RNN, as the paper's baseline"),
    "ppo-lstm": _ppo(cells.LSTMConfig(), "LSTM"),
    "ppo-lru": _ppo(cells.LRUConfig(), "LRU"),
    "ppo-rtu": _ppo(cells.RTUConfig(), "RTU"),
    "model-based": Preset(
        ModelBased,
        ModelBased.default,
        "learns a model of the world online and its policy by imagining in it",
    ),
    "random": Preset(Random, Random.uniform, "chance: what every score has to be compared with"),
}
"""By the names that the command line knows."""


def preset(name: str, task: str | AbstractEnvironment, **changes: Any) -> Agent:
    """The agent called `name` for a task. **Raises** `UnknownNameError` with the nearest names."""
    if name not in PRESETS:
        raise UnknownNameError("agent", name, PRESETS)
    return PRESETS[name].build(task, **changes)
