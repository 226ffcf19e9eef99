"""Environments by the name of a task, built in or registered."""

import functools
import re
from collections.abc import Callable
from typing import Any

from rtrrl.environments.arguments import check_arguments, split_arguments, with_arguments
from rtrrl.environments.base import AbstractEnvironment, Environment
from rtrrl.environments.brax import tasks as brax
from rtrrl.environments.catalogue import Task, TaskInfo, task
from rtrrl.environments.gymnasium import tasks as gymnasium
from rtrrl.environments.gymnasium.adapter import Gymnasium
from rtrrl.environments.gymnasium.construction import is_gymnasium_env
from rtrrl.environments.gymnax import tasks as gymnax
from rtrrl.environments.host import HostEnvironment, NamedHost
from rtrrl.environments.memory import tasks as memory
from rtrrl.environments.neurogym import tasks as neurogym
from rtrrl.environments.popgym import tasks as popgym
from rtrrl.environments.wrappers import Named
from rtrrl.errors import RtrrlError, UnknownNameError
from rtrrl.utils.forking import refuse_after_fork
from rtrrl.utils.registry import Registry

TASKS: tuple[Task, ...] = (
    *gymnax.TASKS,
    *memory.TASKS,
    *popgym.TASKS,
    *brax.TASKS,
    *gymnasium.TASKS,
    *neurogym.TASKS,
)

FAMILIES: tuple[Task, ...] = (*brax.FAMILIES, *gymnasium.FAMILIES, *neurogym.FAMILIES)
"""The rows whose names end in `/ID`."""

ENVIRONMENTS: Registry[AbstractEnvironment] = Registry("environment", {})
"""What users have registered, and the entry points `rtrrl.environment` of installed packages."""

_OWN = (
    "for an environment of your own: pass it itself, as environment= to resume and load, or "
    "rtrrl.register it"
)
_NUMBER = "[1-9][0-9]{0,8}"


def register(name: str, factory: Callable[..., AbstractEnvironment]) -> None:
    """Add an environment to the tasks: `make(name)` returns `factory()`.

    Capital letters at the end stand for positive whole numbers: with the name `Recall-K-N`,
    `make("Recall-4-16")` returns `factory(4, 16)`. The environment gets the name it is made by.
    `make(name, size=8)` returns `factory(size=8)`.

    An installed package registers environments with entry points of the group `rtrrl.environment`.

    **Raises** `RtrrlError` where the name is taken or malformed, or the factory is not callable.
    """
    taken = {"brax", *(row.info.name.removesuffix("/ID") for row in FAMILIES)}
    rows = [*TASKS, *_registered()]
    if name in taken or any(_overlap(str(name), row.info.name) for row in rows):
        raise RtrrlError(f"the environment '{name}' exists already: choose another name")
    ENVIRONMENTS.register(name, factory)


def tasks() -> list[TaskInfo]:
    """The descriptions of all tasks, backend by backend, the registered ones last.

    >>> [task.name for task in tasks() if task.backend == "rtrrl"]
    ['TMaze-N', 'DelayedRecall-N', 'DelayedRecall-K-N']
    """
    infos = [row.info for row in (*TASKS, *FAMILIES, *_registered(describe=True))]
    backends = list(dict.fromkeys(info.backend for info in infos))
    return sorted(infos, key=lambda info: backends.index(info.backend))


def make(name: str, /, **arguments: Any) -> AbstractEnvironment:
    """The environment of the task `name`: an `Environment` or a `HostEnvironment`.

    The observations of built-in tasks are float32 vectors; their actions are integers or a vector.

    Tasks of Gymnasium and NeuroGym, and registered ones, take the constructor's `arguments`, which
    become a part of the name; it can be given with them, too.

    **Raises** `UnknownNameError` where there is no such task or argument, `RtrrlError` where a
    number in the name is missing or out of range, it is the name of a wrapped environment, an
    argument is not plain data, or a registered factory fails.

    >>> environment = make("TMaze-10")
    >>> environment.name, str(environment.observation_space), str(environment.action_space)
    ('TMaze-10', 'Box(3)', 'Discrete(4)')
    >>> make("gymnasium/Pendulum-v1", g=9.81).name
    'gymnasium/Pendulum-v1(g=9.81)'
    """
    refuse_after_fork()
    full = with_arguments(name, arguments)
    base, arguments = split_arguments(full)
    if re.fullmatch(r"[^()]+\(.*\)", base):
        raise _malformed(base)
    for family in FAMILIES:
        if base.startswith(family.info.name.removesuffix("ID")):
            return _named(family.build(full), full)
    return _by_pattern(base, arguments, full)


def _malformed(name: str) -> RtrrlError:
    if any(name.startswith(family.info.name.removesuffix("ID")) for family in FAMILIES):
        return RtrrlError(
            f"cannot read the arguments in '{name}': expected names with plain data, as in "
            "gymnasium/GridWorld-v0(mode='easy', size=8)"
        )
    return RtrrlError(
        f"'{name}' cannot be made from its name: pass the environment itself, or arguments "
        "that are plain data, as in NAME(size=8)"
    )


def _by_pattern(name: str, arguments: dict[str, Any], full: str) -> AbstractEnvironment:
    """The environment of the one task whose pattern the name matches."""
    rows = [*TASKS, *_registered()]
    found = [(row, match) for row in rows if (match := re.fullmatch(_pattern(row.info.name), name))]
    if len(found) > 1:
        raise RtrrlError(
            f"more than one task has the name '{name}' "
            f"({', '.join(row.info.name for row, _ in found)}): uninstall the package that defines "
            "it again, or rename it there"
        )
    for row, match in found:
        numbers = [int(text) for text in match.groups()]
        if arguments and row in TASKS:
            raise RtrrlError(f"'{name}' takes no arguments: leave out {', '.join(arguments)}")
        if all(least <= n <= most for n, (least, most) in zip(numbers, row.ranges, strict=True)):
            return _named(row.build(*numbers, **arguments), full)
    if near := [row for row in rows if row.ranges and name.startswith(_base(row.info.name) + "-")]:
        raise RtrrlError(f"no task '{name}': " + "; ".join(map(_expected, near)))
    examples = [row.info.example for row in (*rows, *FAMILIES)]
    raise UnknownNameError("task", name, examples, own=_OWN)


def as_environment(source: Any) -> AbstractEnvironment:
    """The environment that `source` stands for.

    **Arguments:** `source`, the name of a task, an environment, or a function (or class) that makes
    a `gymnasium.Env`.

    **Raises** `RtrrlError` for anything else.

    >>> import gymnasium
    >>> as_environment(lambda: gymnasium.make("CartPole-v1")).name
    'CartPole-v1'
    """
    refuse_after_fork()
    if isinstance(source, str):
        return make(source)
    if isinstance(source, AbstractEnvironment):
        return source
    if is_gymnasium_env(source):
        raise RtrrlError(
            f"{type(source.unwrapped).__name__} is one gymnasium environment, and evaluation needs "
            "copies: pass a function that makes it, such as lambda: gymnasium.make('CartPole-v1')"
        )
    is_class = isinstance(source, type)
    if callable(source) and not (is_class and issubclass(source, AbstractEnvironment)):
        return Gymnasium(source)
    what = f"the class {source.__name__}" if is_class else f"{source!r:.80}"
    raise RtrrlError(
        f"cannot use {what} as an environment: expected the name of a task, an Environment, a "
        "HostEnvironment, or a function that makes a gymnasium.Env"
    )


def _registered(describe: bool = False) -> list[Task]:
    """A row for each registered environment; to describe one, its package is imported."""
    return [
        task(
            "registered",
            name,
            functools.partial(_made, name),
            _first_line(name) if describe else "",
            "not stated",
            "terminated or truncated, as the environment defines",
            example=re.sub("-[A-Z](?=-|$)", "-10", name) if _letters(name) else name,
            ranges=((1, 10**9 - 1),) * len(_letters(name)),
        )
        for name in ENVIRONMENTS
    ]


def _first_line(name: str) -> str:
    """The first line of the docstring of a registered factory; an import error as text."""
    try:
        return (ENVIRONMENTS.factory(name).__doc__ or "").strip().partition("\n")[0]
    except RtrrlError as error:
        return str(error)


def _made(name: str, /, *numbers: int, **arguments: Any) -> AbstractEnvironment:
    """The environment from the registered factory of that name."""
    title = "-".join([_base(name), *map(str, numbers)])
    factory = ENVIRONMENTS.factory(name)
    check_arguments(factory, arguments, title)
    try:
        environment = factory(*numbers, **arguments)
    except Exception as error:
        kind = "" if isinstance(error, RtrrlError) else f"{type(error).__name__}: "
        message = str(error).strip().partition("\n")[0]
        raise RtrrlError(f"the environment '{title}' cannot be made: {kind}{message}") from error
    if isinstance(environment, AbstractEnvironment):
        return environment
    what = "a gymnasium environment" if is_gymnasium_env(environment) else f"{environment!r:.80}"
    raise RtrrlError(
        f"the factory of '{title}' returns {what}: it must return an Environment or a "
        "HostEnvironment, such as rtrrl.environments.Gymnasium(make) with a function that makes "
        "gymnasium environments"
    )


def _named(environment: AbstractEnvironment, name: str) -> AbstractEnvironment:
    if isinstance(environment, Environment):
        return Named(environment, name)
    if isinstance(environment, HostEnvironment) and environment.name != name:
        return NamedHost(environment, name)
    return environment


def _letters(name: str) -> list[str]:
    """The capital letters at the end of a task's name that stand for numbers."""
    found = re.search("(-[A-Z])+$", name)
    return found[0][1:].split("-") if found else []


def _base(name: str) -> str:
    return re.sub("(-[A-Z])+$", "", name)


def _pattern(name: str) -> str:
    """The regular expression of the names of a task, with a group for each number."""
    return re.escape(_base(name)) + f"-({_NUMBER})" * len(_letters(name))


def _overlap(one: str, other: str) -> bool:
    """Whether a name can belong to both tasks."""
    a, b = _pattern(one), _pattern(other)
    return a == b or bool(re.fullmatch(a, other) or re.fullmatch(b, one))


def _expected(row: Task) -> str:
    ranges = " and ".join(
        f"{letter} from {least} to {most}"
        for letter, (least, most) in zip(_letters(row.info.name), row.ranges, strict=True)
    )
    return f"{row.info.name} takes {ranges}, as in {row.info.example}"
