"""What one row of the catalogue is."""

import dataclasses
import importlib.util
from collections.abc import Callable

from rtrrl.environments.base import AbstractEnvironment

LONGEST = 1_000_000
"""The largest number in the name of a task whose length it is."""


@dataclasses.dataclass(frozen=True)
class TaskInfo:
    """What can be said of a task without building it.

    `name` may end in letters that stand for numbers (`MemoryChain-N`); `example` is a name that can
    be made. `random` and `optimal` are the mean undiscounted returns of the uniformly random and of
    the best policy on the example, None where they have no simple closed form. `extra` names what
    must be installed besides rtrrl itself.
    """

    name: str
    example: str
    backend: str
    description: str
    hidden: str
    ends: str
    random: float | None = None
    optimal: float | None = None
    extra: "Extra | None" = None


@dataclasses.dataclass(frozen=True)
class Extra:
    """Packages that some tasks need, and how a user gets them."""

    module: str
    """One that is there if they are installed."""
    command: str

    @property
    def installed(self) -> bool:
        """Whether they are; nothing is imported."""
        return importlib.util.find_spec(self.module) is not None


@dataclasses.dataclass(frozen=True)
class Task:
    """One row: the facts, how to build it from the numbers in its name, and their ranges."""

    info: TaskInfo
    build: Callable[..., AbstractEnvironment]
    ranges: tuple[tuple[int, int], ...] = ()


@dataclasses.dataclass(frozen=True)
class Family:
    """One row for all names that begin with `prefix/`, whatever the backend knows."""

    info: TaskInfo
    prefix: str
    build: Callable[[str], AbstractEnvironment]
    """From the whole name."""


def task(
    backend: str,
    name: str,
    build: Callable[..., AbstractEnvironment],
    description: str,
    *,
    ends: str,
    hidden: str = "nothing",
    example: str = "",
    ranges: tuple[tuple[int, int], ...] = (),
    random: float | None = None,
    optimal: float | None = None,
    extra: Extra | None = None,
) -> Task:
    """A row, with the defaults that most rows have."""
    example = example or name
    info = TaskInfo(name, example, backend, description, hidden, ends, random, optimal, extra)
    return Task(info, build, ranges)
