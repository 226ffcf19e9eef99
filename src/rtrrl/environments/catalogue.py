"""The rows of the list of tasks."""

import dataclasses
import importlib.util
from collections.abc import Callable

from rtrrl.environments.base import AbstractEnvironment

LONGEST = 1_000_000
"""The greatest length that the name of a task can give it."""


@dataclasses.dataclass(frozen=True)
class TaskInfo:
    """The description of a task.

    `name` may end in letters that stand for numbers (`MemoryChain-N`), or in `/ID` for all names
    that begin like it; `example` is a name that `make` accepts. `random` and `optimal` are the mean
    undiscounted returns of the uniformly random and of the best policy on the example, None where
    they have no simple closed form. `extra` names what must be installed besides rtrrl.
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
    """One row: the description, and how to build the environment.

    `build` takes the numbers in the name, whose `ranges` are checked before; of a name that ends in
    `/ID` it takes the whole name.
    """

    info: TaskInfo
    build: Callable[..., AbstractEnvironment]
    ranges: tuple[tuple[int, int], ...] = ()


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
