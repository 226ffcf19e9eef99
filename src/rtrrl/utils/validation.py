"""What settings hold: the base class that checks their types, and checks of their ranges.

A setting of type float is one number, or an array with one number per seed, each of which is
checked. Every other setting is one value for all seeds. What JAX traces is not checked.
"""

import dataclasses
import sys
from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer

from rtrrl.errors import SettingError
from rtrrl.utils.arrays import NUMBER, in_words


class Settings(eqx.Module):
    """The base class of all settings: agents, and the parts that they are made of.

    **Raises** `SettingError` where a field of type float, int, bool or of a module type holds
    something else, a float is NaN, or a static one is an array.
    """

    def __check_init__(self) -> None:
        for field in dataclasses.fields(self):
            name, value = field.name, getattr(self, field.name)
            match field.type:
                case builtin if builtin in (float, "float"):
                    if field.metadata.get("static"):
                        require_static(**{name: value})
                    obey("be a number", lambda x: ~np.isnan(x), **{name: value})
                case builtin if builtin in (int, "int"):
                    _check_whole(name, value)
                case builtin if builtin in (bool, "bool"):
                    if not isinstance(value, bool):
                        raise SettingError(f"{name} is {in_words(value)}: it must be True or False")
                case type() as family if issubclass(family, eqx.Module):
                    _check_part(field, family, value)


def finite(**settings: Any) -> None:
    """Not infinite."""
    _each("be finite", np.isfinite, settings)


def positive(**settings: Any) -> None:
    """Above 0 and finite."""
    _each("be positive and finite", lambda x: (x > 0) & (x < np.inf), settings)


def nonnegative(**settings: Any) -> None:
    """0 or more and finite."""
    _each("be finite and not negative", lambda x: (x >= 0) & (x < np.inf), settings)


def nonnegative_or_inf(**settings: Any) -> None:
    """0 or more; infinity means no bound."""
    _each("not be negative", lambda x: x >= 0, settings)


def positive_or_inf(**settings: Any) -> None:
    """Above 0; infinity means without end."""
    _each("be positive", lambda x: x > 0, settings)


def in_unit_interval(**settings: Any) -> None:
    """In [0, 1]."""
    _each("lie in [0, 1]", lambda x: (x >= 0) & (x <= 1), settings)


def below_one(**settings: Any) -> None:
    """In [0, 1), as a decay rate must."""
    _each("lie in [0, 1)", lambda x: (x >= 0) & (x < 1), settings)


def counts(**settings: Any) -> None:
    """Whole numbers of 1 or more."""
    for name, value in settings.items():
        _check_whole(name, value)
        if value < 1:
            raise SettingError(f"{name} is {value}: it must be 1 or more")


def require_static(**settings: Any) -> None:
    """One number for all seeds: it is a constant of the compiled program."""
    for name, value in settings.items():
        if not _is_number(value):
            raise SettingError(
                f"{name} is {in_words(value)}: all seeds share it, so it must be one number"
            )


def static_positive(**settings: Any) -> None:
    """One number for all seeds, above 0 and finite."""
    require_static(**settings)
    positive(**settings)


def obey(wanted: str, holds: Callable[..., Any], **settings: Any) -> None:
    """Settings that are numbers, or arrays of them, and of which `holds` is true together.

    **Raises** `SettingError` with the first values of which it is not, and what is `wanted`.
    """
    if any(isinstance(value, Tracer) for value in settings.values()):
        return
    values = [_entries(name, value) for name, value in settings.items()]
    sizes = {value.size for value in values if value.ndim}
    if len(sizes) > 1:
        raise SettingError(f"{', '.join(settings)} are arrays of several lengths: {sizes}")
    wrong = np.flatnonzero(~holds(*values))
    if wrong.size:
        at = [f"[{wrong[0]}]" if value.ndim else "" for value in values]
        names = ", ".join(name + index for name, index in zip(settings, at, strict=True))
        given = ", ".join(str(value[wrong[0]] if value.ndim else value) for value in values)
        verb = "is {}: it must" if len(values) == 1 else "are {}: they must"
        raise SettingError(f"{names} {verb.format(given)} {wanted}")


def _each(wanted: str, holds: Callable[[Any], Any], settings: dict[str, Any]) -> None:
    for name, value in settings.items():
        obey(wanted, holds, **{name: value})


def _entries(name: str, value: Any) -> np.ndarray:
    """A number, or one per seed."""
    if eqx.is_array(value) and any(jnp.issubdtype(value.dtype, kind) for kind in NUMBER):
        if value.ndim <= 1:
            return np.asarray(value)
    elif _is_number(value):
        return np.asarray(float(value))
    raise SettingError(
        f"{name} is {in_words(value)}: it must be a number, or an array with one for each seed, "
        "such as jax.numpy.array([0.1, 0.2])"
    )


def _is_number(value: Any) -> bool:
    if isinstance(value, int):
        return not isinstance(value, bool) and abs(value) <= sys.float_info.max
    return isinstance(value, float | np.integer | np.floating)


def _check_whole(name: str, value: Any) -> None:
    if isinstance(value, bool) or not isinstance(value, int | np.integer):
        raise SettingError(f"{name} is {in_words(value)}: it must be one whole number")


def _check_part(field: dataclasses.Field, family: type[eqx.Module], part: Any) -> None:
    if not isinstance(part, family):
        example = "" if field.default is dataclasses.MISSING else f", such as {field.default}"
        raise SettingError(f"{field.name} is {in_words(part)}: expected {family.__name__}{example}")
