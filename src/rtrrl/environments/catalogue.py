"""The rows of the list of tasks."""

import dataclasses
import importlib.util
from collections.abc import Callable

from rtrrl.environments.base import AbstractEnvironment

LONGEST = 1_000_000
"""The largest number in the name of a task whose length it is."""


@dataclasses.dataclass(frozen=True)
class TaskInfo:
    """The description of a task.

    `name` may end in letters that stand for numbers (`MemoryChain-N`); `example` is a name that
    `make` accepts. `random` and `optimal` are the mean undiscounted returns of the uniformly random
    and of the best policy on the example, None where they have no simple closed form. `extra` names
    what must be installed besides rtrrl.
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
    """Packages that some tasks need: a module of theirs, and the command that installs them."""

    module: str
    command: str

    @property
    def installed(self) -> bool:
        """Whether the module is found; nothing is imported."""
        return importlib.util.find_spec(self.module) is not None


@dataclasses.dataclass(frozen=True)
class Task:
    """One row: the description, how to build it from the numbers in its name, and their ranges."""

    info: TaskInfo
    build: Callable[..., AbstractEnvironment]
    ranges: tuple[tuple[int, int], ...] = ()


@dataclasses.dataclass(frozen=True)
class Family:
    """One row for all names that begin with `prefix/`; `build` takes the whole name."""

    prefix: str
    build: Callable[[str], AbstractEnvironment]
    info: TaskInfo


def task(
    backend: str,
    name: str,
    build: Callable[..., AbstractEnvironment],
    description: str,
    hidden: str,
    ends: str,
    random: float | None = None,
    optimal: float | None = None,
    *,
    example: str = "",
    ranges: tuple[tuple[int, int], ...] = (),
    extra: Extra | None = None,
) -> Task:
    """A row whose example, unless given, is its name."""
    example = example or name
    info = TaskInfo(name, example, backend, description, hidden, ends, random, optimal, extra)
    return Task(info, build, ranges)
