"""Settings as plain data: an agent to JSON and back, without executing anything."""

import dataclasses
from typing import Any

import equinox as eqx
import jax.numpy as jnp
import numpy as np

from rtrrl.agents import Agent
from rtrrl.agents.monitoring import unmonitored
from rtrrl.agents.registry import PRESETS, preset
from rtrrl.cells import CellConfig, EigenvalueInitializer, Wiring
from rtrrl.environments import AbstractEnvironment
from rtrrl.errors import RtrrlError, UnknownNameError
from rtrrl.gradients import GradientRule
from rtrrl.learning.exploration_bonus import ExplorationBonus
from rtrrl.learning.normalizers import ObservationNormalizer, RewardNormalizer
from rtrrl.learning.optimizers import Optimizer
from rtrrl.learning.policies import Noise, Policy, Score, Spread
from rtrrl.learning.readouts import Feedback
from rtrrl.learning.traces import Trace

KINDS = (
    Agent,
    Feedback,
    GradientRule,
    ExplorationBonus,
    Noise,
    ObservationNormalizer,
    Policy,
    CellConfig,
    EigenvalueInitializer,
    RewardNormalizer,
    Score,
    Spread,
    Trace,
    Optimizer,
    Wiring,
)
"""What may stand in a settings file: these and their subclasses, by class name."""


def to_dict(setting: Any, describe: bool = False) -> Any:
    """Nested settings as JSON values; a module becomes its fields and its class's name.

    With `describe` what is no data, such as a function, is named by its type.

    >>> from rtrrl.gradients import TBPTT
    >>> to_dict(TBPTT(window=4))
    {'type': 'TBPTT', 'window': 4}

    **Raises** `RtrrlError` for a setting that is no data, without `describe`.
    """
    if isinstance(setting, KINDS):
        fields = dataclasses.fields(setting)
        return {"type": type(setting).__name__} | {
            field.name: to_dict(getattr(setting, field.name), describe) for field in fields
        }
    if eqx.is_array(setting) or isinstance(setting, np.ndarray):
        return np.asarray(setting).tolist()
    if isinstance(setting, tuple | list) and not hasattr(setting, "_fields"):
        return [to_dict(item, describe) for item in setting]
    if setting is None or isinstance(setting, bool | int | float | str):
        return setting
    if describe:
        return f"<{type(setting).__name__}>"
    raise RtrrlError(
        f"a setting of type {type(setting).__name__} cannot be written to a run's folder: use "
        f"settings that are data, or train without `out`"
    )


def from_dict(data: Any) -> Any:
    """The inverse of `to_dict`; a list becomes a tuple in a static field, else an array.

    **Raises** `UnknownNameError` for a class that is not a setting's, `RtrrlError` for fields
    that it does not have.
    """
    if not isinstance(data, dict):
        return data
    known = {kind.__name__: kind for kind in _subclasses(KINDS)}
    name = data.get("type")
    if name not in known:
        raise UnknownNameError("settings type", str(name), known)
    fields = {field.name: field for field in dataclasses.fields(known[name])}
    given = {key: value for key, value in data.items() if key != "type"}
    for key in given:
        if key not in fields:
            raise UnknownNameError(f"setting of {name}", key, fields)
    try:
        return known[name](**{key: _value(fields[key], value) for key, value in given.items()})
    except TypeError as error:
        raise RtrrlError(f"settings of {name} are incomplete: {error}") from error


def _value(field: dataclasses.Field, value: Any) -> Any:
    if isinstance(value, list):
        return tuple(value) if field.metadata.get("static") else jnp.asarray(value)
    return from_dict(value)


def _subclasses(kinds: Any) -> list[type]:
    found = []
    for kind in kinds:
        found += [kind, *_subclasses(kind.__subclasses__())]
    return found


def label(agent: Agent, environment: AbstractEnvironment) -> str:
    """The preset an agent is nearest to, with the settings that differ from it.

    Being monitored is none of them: it changes nothing in what the agent does.

    >>> from rtrrl.cells import GRUConfig
    >>> from rtrrl.environments import make
    >>> world = make("TMaze-5")
    >>> label(preset("paper", world, gamma=0.9), world)
    'paper, gamma=0.9'
    >>> label(preset("paper", world, cell=GRUConfig(hidden_size=8)), world)
    'paper, cell=GRU, cell.hidden_size=8'
    """
    mine = to_dict(unmonitored(agent), describe=True)
    candidates = [
        [name, *_differences(mine, to_dict(preset(name, environment)))]
        for name, each in PRESETS.items()
        if each.kind is type(agent)
    ]
    return ", ".join(min(candidates, key=len, default=[type(agent).__name__]))


def _differences(mine: dict[str, Any], theirs: dict[str, Any], path: str = "") -> list[str]:
    found = []
    for name, value in mine.items():
        if name == "type":
            if value != theirs.get("type"):
                found.append(f"{path.rstrip('.')}={value.removesuffix('Config')}")
        elif isinstance(value, dict):
            other = theirs.get(name)
            found += _differences(value, other if isinstance(other, dict) else {}, f"{path}{name}.")
        elif name in theirs and value != theirs[name]:
            shown = "[…]" if isinstance(value, list) else value
            found.append(f"{path}{name}={shown}")
    return found
