"""Checks of the values of settings, by name. Each **raises** `ValueError`.

A setting may be an array with one entry per seed; its entries are not checked.
"""

import dataclasses
import math
from collections.abc import Callable

import equinox as eqx


def finite(**settings: float) -> None:
    """Not NaN, not infinite."""
    _check(settings, math.isfinite, "be finite")


def positive(**settings: float) -> None:
    """Above 0 and finite."""
    _check(settings, lambda value: 0 < value < math.inf, "be positive and finite")


def nonnegative(**settings: float) -> None:
    """0 or more and finite."""
    _check(settings, lambda value: 0 <= value < math.inf, "be finite and not negative")


def nonnegative_or_inf(**settings: float) -> None:
    """0 or more; infinity means no bound."""
    _check(settings, lambda value: value >= 0, "not be negative")


def positive_or_inf(**settings: float) -> None:
    """Above 0; infinity means without end."""
    _check(settings, lambda value: value > 0, "be positive")


def in_unit_interval(**settings: float) -> None:
    """In [0, 1]."""
    _check(settings, lambda value: 0 <= value <= 1, "lie in [0, 1]")


def below_one(**settings: float) -> None:
    """In [0, 1), as a decay rate must."""
    _check(settings, lambda value: 0 <= value < 1, "lie in [0, 1)")


def require_static(**settings: float) -> None:
    """One number for all seeds: it is a constant of the compiled program."""
    for name, value in settings.items():
        if not isinstance(value, int | float):
            raise ValueError(f"{name} is {value}: all seeds share it, so it must be one number")


def static_positive(**settings: float) -> None:
    """One number for all seeds, above 0 and finite."""
    require_static(**settings)
    positive(**settings)


def check_parts(module: eqx.Module) -> None:
    """**Raises** `TypeError` where a field of a module type holds something else."""
    for field in dataclasses.fields(module):
        family, part = field.type, getattr(module, field.name)
        if not (isinstance(family, type) and issubclass(family, eqx.Module)):
            continue
        if not isinstance(part, family):
            example = "" if field.default is dataclasses.MISSING else f", such as {field.default}"
            raise TypeError(f"{field.name} is {part!r}: expected {family.__name__}{example}")


def _check(settings: dict[str, float], holds: Callable[[float], bool], wanted: str) -> None:
    for name, value in settings.items():
        if isinstance(value, int | float) and not holds(value):
            raise ValueError(f"{name} is {value}: it must {wanted}")
