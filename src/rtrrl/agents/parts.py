"""Parts of an agent that are chosen by name, and settings by dotted path."""

import dataclasses
from collections.abc import Callable, Mapping
from operator import attrgetter
from typing import Any, NamedTuple, TypeVar

import equinox as eqx

from rtrrl.cells import CELLS, EIGENVALUES, WIRINGS
from rtrrl.errors import RtrrlError, UnsupportedCellError
from rtrrl.gradients import RULES
from rtrrl.learning.exploration_bonus import BONUSES
from rtrrl.learning.normalizers import OBSERVATION_NORMALIZERS, REWARD_NORMALIZERS
from rtrrl.learning.optimizers import OPTIMIZERS
from rtrrl.learning.policies import NOISES, POLICIES, SCORES, SPREADS, Joint
from rtrrl.learning.readouts import FEEDBACKS
from rtrrl.learning.traces import TRACES
from rtrrl.utils.registry import Registry

Module = TypeVar("Module", bound=eqx.Module)


class Part(NamedTuple):
    """A part that is chosen by name: `--flag NAME`, or `flag="NAME"` in Python, sets `path`."""

    flag: str
    path: str
    members: Registry
    description: str
    arguments: Callable[[Any], tuple] = lambda _: ()
    """What the part's factory is called with."""


PARTS = (
    Part("cell", "cell", CELLS, "the recurrent cell"),
    Part("rule", "rule", RULES, "how the gradient of the cell is carried forward"),
    Part("wiring", "cell.wiring", WIRINGS, "which weights of a ctrnn exist"),
    Part("eigenvalues", "cell.eigenvalues", EIGENVALUES, "initial time constants of rtu and lru"),
    Part("feedback", "feedback", FEEDBACKS, "how errors of the readouts reach the cell"),
    Part("trace", "trace", TRACES, "the eligibility traces"),
    Part("optimizer", "optimizer", OPTIMIZERS, "from TD errors and traces to updates"),
    Part(
        "policy",
        "policy",
        POLICIES,
        "the distribution over actions (default: by the action space)",
        lambda agent: (agent.policy.action_space,),
    ),
    Part("spread", "policy.spread", SPREADS, "what a Gaussian policy's σ depends on"),
    Part("score", "policy.score_estimator", SCORES, "a Gaussian policy's gradient"),
    Part("noise", "policy.noise_process", NOISES, "the noise of a Gaussian policy"),
    Part(
        "observations",
        "inputs.observations",
        OBSERVATION_NORMALIZERS,
        "the scaling of observations",
    ),
    Part("rewards", "inputs.rewards", REWARD_NORMALIZERS, "the scaling of rewards"),
    Part("bonus", "inputs.bonus", BONUSES, "the exploration bonus"),
)


def set_path(module: Module, path: str, value: Any) -> Module:
    """The module with another value of the field at a dotted path, static or not.

    >>> from rtrrl.cells import RTUConfig, UniformRing
    >>> set_path(RTUConfig(eigenvalues=UniformRing()), "eigenvalues.r_max", 0.9).eigenvalues.r_max
    0.9

    **Raises** `RtrrlError` where there is no such field, or the value does not fit.
    """
    field, _, inner = path.partition(".")
    if field not in {each.name for each in dataclasses.fields(module)}:
        raise RtrrlError(f"{type(module).__name__.removesuffix('Config')} has no {field}")
    if inner:
        value = set_path(getattr(module, field), inner, value)
    try:
        return dataclasses.replace(module, **{field: value})
    except RtrrlError:
        raise
    except (TypeError, ValueError) as error:
        raise RtrrlError(f"{error}") from error


def with_parts(agent: Module, parts: Mapping[str, Any]) -> Module:
    """The agent with other parts, by flag: a name, the part itself, or None for no change.

    A part that already has the named type keeps its settings.

    **Raises** `UnknownNameError` for an unknown name, `RtrrlError` where the agent lacks the part
    or the parts do not fit together.
    """
    given = [part for part in PARTS if parts.get(part.flag) is not None]
    fields: dict[str, Any] = {}
    for part in given:
        top, _, inner = part.path.partition(".")
        whole, value = fields.get(top, getattr(agent, top, None)), parts[part.flag]
        if inner and isinstance(whole, Joint):
            inner = f"numbers.{inner}"  # only a Gaussian has parts
        if whole is None or (inner and not hasattr(whole, inner.partition(".")[0])):
            kind = type(agent if whole is None else whole).__name__.removesuffix("Config")
            raise RtrrlError(
                f"{part.flag}={value!r:.80} does not apply: {kind} has no {inner or top}"
            )
        if isinstance(value, str):
            value = part.members.make(value, *part.arguments(agent))
            if type(value) is type(attrgetter(inner)(whole) if inner else whole):
                continue
        fields[top] = set_path(whole, inner, value) if inner else value
    if not fields:
        return agent
    try:
        return dataclasses.replace(agent, **fields)
    except UnsupportedCellError:
        raise
    except (TypeError, ValueError) as error:
        names = {part.flag: parts[part.flag] for part in given}
        flags = [f"{flag}={name!r}" for flag, name in names.items() if isinstance(name, str)]
        raise RtrrlError(
            f"{' '.join(flags)} does not apply: {error}" if flags else f"{error}"
        ) from error
