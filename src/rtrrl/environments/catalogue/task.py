"""What one row of the catalogue is."""

import dataclasses
from collections.abc import Callable

from rtrrl.environments.base import Environment

LONGEST = 1_000_000
"""The largest number in the name of a task whose length it is."""


@dataclasses.dataclass(frozen=True)
class TaskInfo:
    """What can be said of a task without building it.

    `name` may end in letters that stand for numbers (`MemoryChain-N`); `example` is a name that can
    be made. `random` and `optimal` are the mean undiscounted returns of the uniformly random and of
    the best policy on the example, None where they have no simple closed form.
    """

    name: str
    example: str
    backend: str
    description: str
    hidden: str
    ends: str
    random: float | None = None
    optimal: float | None = None


@dataclasses.dataclass(frozen=True)
class Task:
    """One row: the facts, how to build it from the numbers in its name, and their ranges."""

    info: TaskInfo
    build: Callable[..., Environment]
    ranges: tuple[tuple[int, int], ...] = ()


def task(
    backend: str,
    name: str,
    build: Callable[..., Environment],
    description: str,
    *,
    ends: str,
    hidden: str = "nothing",
    example: str = "",
    ranges: tuple[tuple[int, int], ...] = (),
    random: float | None = None,
    optimal: float | None = None,
) -> Task:
    """A row, with the defaults that most rows have."""
    example = example or name
    info = TaskInfo(name, example, backend, description, hidden, ends, random, optimal)
    return Task(info, build, ranges)
