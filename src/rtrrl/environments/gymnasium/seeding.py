"""The random generators of an environment: behind its wrappers, and in its parts."""

from collections.abc import Sequence
from typing import Any

import numpy as np

MAX_PARTS = 1000
"""Longer lists and dicts hold data, and are not searched."""

Generator = np.random.Generator | np.random.RandomState


def generators_of(environment: Any) -> list[Generator]:
    """All generators that an environment holds.

    Gymnasium's `reset(seed=...)` seeds one of them, that of the innermost environment. The others
    belong to wrappers, to environments inside of it, to spaces, from which it may sample, and to
    its other parts from the same package, also in lists and dicts.
    """
    from gymnasium import Env, Space

    package = _package(environment.unwrapped)
    found: list[Generator] = []
    waiting, seen = [environment], set()
    while waiting:
        part = waiting.pop()
        if id(part) in seen:
            continue
        seen.add(id(part))
        if isinstance(part, Generator):
            found.append(part)
        elif isinstance(part, list | tuple | dict):
            parts = part.values() if isinstance(part, dict) else part
            waiting += parts if len(parts) <= MAX_PARTS else ()
        elif isinstance(part, Env | Space) or _package(part) == package:
            if isinstance(part, Env | Space):
                _ = part.np_random  # made when it is first read
            waiting += getattr(part, "__dict__", {}).values()
    return found


def seed_all(generators: Sequence[Generator], seed: int) -> None:
    """Give all generators the same seed: the order in which they were found does not matter."""
    states: dict[type, Any] = {}
    for generator in generators:
        if isinstance(generator, np.random.RandomState):
            generator.seed(seed)
        else:
            kind: Any = type(generator.bit_generator)
            if kind not in states:
                states[kind] = kind(seed).state
            generator.bit_generator.state = states[kind]


def _package(part: Any) -> str:
    return type(part).__module__.partition(".")[0]
