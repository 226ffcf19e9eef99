"""The random generators of an environment: behind its wrappers, and in its parts."""

from collections.abc import Sequence
from typing import Any

import numpy as np

MAX_PARTS = 1000
"""Longer lists and dicts hold data, and are not searched."""

Generator = np.random.Generator | np.random.RandomState


def generators_of(environment: Any) -> list[Generator]:
    """All generators that an environment holds, in the same order for each copy.

    Gymnasium's `reset(seed=...)` seeds the first, that of the innermost environment. The others
    belong to wrappers, to environments inside of it, to spaces, from which it may sample, and to
    its other parts from the same package, also in lists and dicts.
    """
    from gymnasium import Env, Space

    package = _package(environment.unwrapped)
    found: list[Generator] = []
    waiting, seen = [environment, environment.unwrapped.np_random], set()
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
    """Seed the first generator as gymnasium does, and the others with seeds spawned from its seed.

    Their streams are independent, and depend on the order of the generators.
    """
    first = np.random.SeedSequence(seed)
    sequences = [first, *first.spawn(len(generators))]
    for generator, sequence in zip(generators, sequences, strict=False):
        if isinstance(generator, np.random.RandomState):
            generator.seed(sequence.generate_state(4))
        else:
            kind: Any = type(generator.bit_generator)
            generator.bit_generator.state = kind(sequence).state


def _package(part: Any) -> str:
    return type(part).__module__.partition(".")[0]
