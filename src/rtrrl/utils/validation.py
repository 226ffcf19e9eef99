"""What numbers a setting may have: what is wrong is said by its name, before it becomes NaN.

Arrays, one entry per seed, are let through unseen, but where a setting is the same for all seeds.
Each **raises** `ValueError`.
"""

import math
from collections.abc import Callable


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
    """0 or more; infinity is no bound at all."""
    _check(settings, lambda value: value >= 0, "not be negative")


def positive_or_inf(**settings: float) -> None:
    """Above 0; infinity is no end at all."""
    _check(settings, lambda value: value > 0, "be positive")


def in_unit_interval(**settings: float) -> None:
    """In [0, 1]."""
    _check(settings, lambda value: 0 <= value <= 1, "lie in [0, 1]")


def below_one(**settings: float) -> None:
    """In [0, 1): what is kept of something that has to fade."""
    _check(settings, lambda value: 0 <= value < 1, "lie in [0, 1)")


def require_static(**settings: float) -> None:
    """One number: what shapes the program cannot differ from seed to seed."""
    for name, value in settings.items():
        if not isinstance(value, int | float):
            raise ValueError(f"{name} is {value}: all seeds share it, so it must be one number")


def _check(settings: dict[str, float], holds: Callable[[float], bool], wanted: str) -> None:
    for name, value in settings.items():
        if isinstance(value, int | float) and not holds(value):
            raise ValueError(f"{name} is {value}: it must {wanted}")
