"""Settings as plain data: an agent to JSON and back, without importing or executing anything.

A class is written by its qualified name, `rtrrl.cells.RTUConfig` or `my_module.MinGRUConfig`, and
found again only where its module has been imported, or belongs to an installed package that adds
to rtrrl by entry points.
"""

import dataclasses
import math
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import equinox as eqx
import jax.numpy as jnp
import numpy as np

from rtrrl.agents import Agent
from rtrrl.agents.monitoring import unmonitored
from rtrrl.agents.registry import PRESETS, make_agent
from rtrrl.environments import AbstractEnvironment
from rtrrl.errors import RtrrlError, UnknownNameError
from rtrrl.utils.registry import import_entry_points
from rtrrl.utils.validation import Settings


def to_dict(setting: Any, describe: bool = False) -> Any:
    """Nested settings as strict JSON; a module becomes its fields and its class's name.

    JSON has no numbers that are not finite: they become "inf", "-inf" and "nan".

    With `describe` anything that is not data, such as a function, becomes the name of its type.

    >>> from rtrrl.gradients import TBPTT
    >>> to_dict(TBPTT(window=4))
    {'type': 'rtrrl.gradients.TBPTT', 'window': 4}

    **Raises** `RtrrlError`, unless `describe`, for a setting that is not data or whose class cannot
    be found again.
    """
    if isinstance(setting, Settings) or (describe and isinstance(setting, eqx.Module)):
        fields = dataclasses.fields(setting)
        return {"type": _type_name(type(setting), describe)} | {
            field.name: to_dict(getattr(setting, field.name), describe) for field in fields
        }
    if eqx.is_array(setting):
        return strict(numbers(setting))
    if isinstance(setting, tuple | list) and not hasattr(setting, "_fields"):
        return [to_dict(item, describe) for item in setting]
    if setting is None or isinstance(setting, bool | int | float | str):
        return strict(setting)
    if describe:
        return f"<{type(setting).__name__}>"
    raise RtrrlError(
        f"a setting of type {type(setting).__name__} cannot be written to a run's folder: use "
        f"settings that are data, or train without `out`"
    )


def from_dict(data: Any) -> Any:
    """The inverse of `to_dict`; a list becomes a tuple in a static field, else an array.

    **Raises** `RtrrlError` for a class that has not been imported or a missing field,
    `UnknownNameError` for a class that is none of settings or a field that it does not have.
    """
    if not isinstance(data, dict):
        return data
    kind = _find_type(str(data.get("type")))
    fields = {field.name: field for field in dataclasses.fields(kind)}
    given = {key: value for key, value in data.items() if key != "type"}
    for key in given:
        if key not in fields:
            raise UnknownNameError(f"setting of {kind.__name__}", key, fields)
    try:
        return kind(**{key: _value(fields[key], value) for key, value in given.items()})
    except TypeError as error:
        raise RtrrlError(f"settings of {kind.__name__} are incomplete: {error}") from error


def _value(field: dataclasses.Field, value: Any) -> Any:
    if isinstance(value, list):
        values = as_numbers(value)
        return tuple(values) if field.metadata.get("static") else jnp.asarray(values)
    return from_dict(value if field.type in (str, "str") else as_numbers(value))


def strict(value: Any) -> Any:
    """What JSON may hold, with "inf", "-inf" and "nan" for numbers that are not finite."""
    if isinstance(value, dict):
        return {name: strict(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [strict(item) for item in value]
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value


def as_numbers(value: Any) -> Any:
    """The inverse of `strict`, of a number or nested lists of them.

    >>> as_numbers([0.5, "inf"])
    [0.5, inf]
    """
    if isinstance(value, list):
        return [as_numbers(item) for item in value]
    return float(value) if value in ("inf", "-inf", "nan") else value


def numbers(array: Any) -> Any:
    """The numbers of an array as Python's: the shortest that give the same array again.

    >>> numbers(jnp.array([0.1, 0.99]))
    [0.1, 0.99]
    """
    array = np.asarray(array)
    if array.dtype in (np.float16, np.float32):
        array = array.astype(str).astype(float)
    return array.tolist()


def _type_name(kind: type, describe: bool) -> str:
    """The class's name, qualified by the outermost package that exports it."""
    module, name = kind.__module__, kind.__qualname__
    if "." in name and not describe:
        raise RtrrlError(
            f"{name} is defined inside a function or a class, so that no run can find it again: "
            "define it at the top of a module, or train without `out`"
        )
    if module == "__main__":
        return f"{_main_module()}.{name}"
    parts = module.split(".")
    for end in range(1, len(parts)):
        package = ".".join(parts[:end])
        if getattr(sys.modules.get(package), name, None) is kind:
            return f"{package}.{name}"
    return f"{module}.{name}"


def _find_type(name: str) -> type:
    """The class of a qualified name among what has been imported."""
    module, _, attribute = name.rpartition(".")
    if module not in sys.modules:
        import_entry_points(module)
    source = sys.modules.get(module)
    if source is None and module == _main_module():
        source = sys.modules["__main__"]
    if source is None and module:
        raise RtrrlError(
            f"{name} is not imported: import {module} first (on the command line, --import "
            f"{module}, or the path of its file)"
        )
    kind = getattr(source, attribute, None)
    if not (isinstance(kind, type) and issubclass(kind, Settings)):
        known = [_type_name(each, describe=True) for each in _subclasses((Settings,))]
        raise UnknownNameError("settings type", name, known)
    return kind


def _main_module() -> str:
    """The name by which another process imports the script that is running."""
    main = sys.modules["__main__"]
    spec, file = getattr(main, "__spec__", None), getattr(main, "__file__", None)
    return spec.name if spec else Path(file).stem if file else "__main__"


def _subclasses(kinds: Any) -> list[type]:
    found = []
    for kind in kinds:
        found += [kind, *_subclasses(kind.__subclasses__())]
    return found


def short_name(type_name: str) -> str:
    """A class as labels show it.

    >>> short_name("rtrrl.cells.RTUConfig")
    'RTU'
    """
    return type_name.rpartition(".")[2].removesuffix("Config")


def shown(values: Iterable[Any]) -> str:
    """The values of a setting that differs among seeds, as labels show them.

    >>> shown([0.9, 0.99, 0.9, 0.99]), shown([0.5, 0.6, 0.7, 0.8, 0.9])
    ('[0.9, 0.99]', '[0.5 … 0.9] (5 values)')
    """
    distinct = [str(value) for value in dict.fromkeys(values)]
    if len(distinct) > 4:
        return f"[{distinct[0]} … {distinct[-1]}] ({len(distinct)} values)"
    return f"[{', '.join(distinct)}]"


def label(agent: Agent, environment: AbstractEnvironment) -> str:
    """The named agent that differs least, with the settings that differ.

    Monitoring does not count: it does not change what the agent does.

    >>> from rtrrl.cells import GRUConfig
    >>> from rtrrl.environments import make
    >>> environment = make("TMaze-5")
    >>> label(make_agent("paper", environment, gamma=0.9), environment)
    'paper, gamma=0.9'
    >>> label(make_agent("snap1", environment, cell=GRUConfig(hidden_size=8)), environment)
    'snap1, cell=GRU, cell.hidden_size=8'
    """
    mine = to_dict(unmonitored(agent), describe=True)
    candidates = [
        [name, *_differences(mine, to_dict(make_agent(name, environment)))]
        for name, each in PRESETS.items()
        if each.kind is type(agent)
    ]
    return ", ".join(min(candidates, key=len, default=[type(agent).__name__]))


def _differences(mine: dict[str, Any], theirs: dict[str, Any], path: str = "") -> list[str]:
    found = []
    for name, value in mine.items():
        if name == "type":
            if value != theirs.get("type"):
                found.append(f"{path.rstrip('.')}={short_name(value)}")
        elif isinstance(value, dict):
            other = theirs.get(name)
            found += _differences(value, other if isinstance(other, dict) else {}, f"{path}{name}.")
        elif name in theirs and value != theirs[name]:
            text = shown(map(str, value)) if isinstance(value, list) else value
            found.append(f"{path}{name}={text}")
    return found
