"""The parts of an agent that are chosen by name."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, TypeVar

import equinox as eqx

from rtrrl.agents import Agent
from rtrrl.cells import CELLS, EIGENVALUES, WIRINGS
from rtrrl.errors import RtrrlError, UnknownNameError
from rtrrl.gradients import RULES
from rtrrl.learning.exploration_bonus import BONUSES
from rtrrl.learning.normalizers import OBSERVATION_NORMALIZERS, REWARD_NORMALIZERS
from rtrrl.learning.optimizers import OPTIMIZERS
from rtrrl.learning.policies import NOISES, SCORES, SPREADS
from rtrrl.learning.readouts import FEEDBACKS
from rtrrl.learning.traces import TRACES

Module = TypeVar("Module", bound=eqx.Module)


class Part(NamedTuple):
    """A part of an agent that is chosen by name: `--flag NAME` sets `field`."""

    flag: str
    field: str
    names: Mapping[str, Any]
    description: str


PARTS = (
    Part("cell", "cell", CELLS, "the recurrent cell"),
    Part("rule", "rule", RULES, "how its gradient is carried forward"),
    Part("wiring", "cell.wiring", WIRINGS, "which weights of a ctrnn exist"),
    Part("eigenvalues", "cell.eigenvalues", EIGENVALUES, "how long rtu and lru remember at first"),
    Part("feedback", "feedback", FEEDBACKS, "how errors reach the cell"),
    Part("trace", "trace", TRACES, "the eligibility traces"),
    Part("optimizer", "optimizer", OPTIMIZERS, "from errors and traces to a change of parameters"),
    Part("spread", "policy.spread", SPREADS, "what a Gaussian policy's width depends on"),
    Part("score", "policy.scoring", SCORES, "a Gaussian policy's gradient"),
    Part("noise", "policy.noising", NOISES, "whether a Gaussian policy's noise lasts"),
    Part("observations", "observation_normalizer", OBSERVATION_NORMALIZERS, "as they come or not"),
    Part("rewards", "reward_normalizer", REWARD_NORMALIZERS, "as they come or not"),
    Part("bonus", "exploration_bonus", BONUSES, "what an agent rewards itself for"),
)


def chosen(agent: Agent, names: Mapping[str, str | None]) -> Agent:
    """The agent with other parts, by flag; a part that is already of that kind stays.

    **Raises** `UnknownNameError` for a name that no such part has, `RtrrlError` where the agent has
    no such part.
    """
    for part in PARTS:
        name = names.get(part.flag)
        if name is None:
            continue
        if name not in part.names:
            raise UnknownNameError(part.flag, name, part.names)
        agent = _replaced(agent, part.field.split("."), part.names[name], f"--{part.flag} {name}")
    return agent


def _replaced(module: Module, path: Sequence[str], value: eqx.Module, flag: str) -> Module:
    field, *inner = path
    if not hasattr(module, field):
        kind = type(module).__name__.removesuffix("Config")
        raise RtrrlError(f"{flag} does not apply: {kind} has no {field}")
    present = getattr(module, field)
    if inner:
        value = _replaced(present, inner, value, flag)
    elif type(present) is type(value):
        return module
    try:
        return dataclasses.replace(module, **{field: value})
    except (TypeError, ValueError) as error:
        raise RtrrlError(f"{flag} does not apply: {error}") from error
