"""From a task's name to its world."""

import re

from rtrrl.environments.base import AbstractEnvironment, Environment
from rtrrl.environments.brax import tasks as brax
from rtrrl.environments.catalogue import Family, Task, TaskInfo
from rtrrl.environments.gymnasium import tasks as gymnasium
from rtrrl.environments.gymnax import tasks as gymnax
from rtrrl.environments.memory import tasks as memory
from rtrrl.environments.neurogym import tasks as neurogym
from rtrrl.environments.popgym import tasks as popgym
from rtrrl.environments.wrappers import Named
from rtrrl.errors import RtrrlError, UnknownNameError

TASKS: tuple[Task, ...] = (
    *gymnax.TASKS,
    *memory.TASKS,
    *popgym.TASKS,
    *brax.TASKS,
    *gymnasium.TASKS,
    *neurogym.TASKS,
)

FAMILIES: tuple[Family, ...] = (*brax.FAMILIES, *gymnasium.FAMILIES, *neurogym.FAMILIES)


def tasks() -> list[TaskInfo]:
    """Every task that `make` knows, backend by backend in the order of the catalogue.

    >>> [task.name for task in tasks() if task.backend == "rtrrl"]
    ['TMaze-N', 'DelayedRecall-N', 'DelayedRecall-K-N']
    """
    infos = [row.info for row in (*TASKS, *FAMILIES)]
    backends = list(dict.fromkeys(info.backend for info in infos))
    return sorted(infos, key=lambda info: backends.index(info.backend))


def make(name: str) -> AbstractEnvironment:
    """The world called `name`: it shows a float32 vector and takes integers or a vector.

    It is an `Environment`, which is compiled, or a `HostEnvironment`, which Python steps.

    **Raises** `UnknownNameError` where nothing answers to the name, `RtrrlError` where a number in
    it is none or is out of range, or where it is the name of a wrapped world.

    >>> world = make("TMaze-10")
    >>> world.name, str(world.observation_space), str(world.action_space)
    ('TMaze-10', 'Box(3)', 'Discrete(4)')
    """
    if re.fullmatch(r"[^()]+\(.*\)", name):
        raise RtrrlError(
            f"the wrapped world '{name}' cannot be made from its name: pass environment="
        )
    if exact := [task for task in TASKS if task.info.name == name and not task.ranges]:
        return _named(exact[0].build(), name)
    for family in FAMILIES:
        if name.startswith(f"{family.prefix}/"):
            return _named(family.build(name), name)
    numbered = [task for task in TASKS if task.ranges and name.startswith(_base(task) + "-")]
    if not numbered:
        raise UnknownNameError("task", name, (info.example for info in tasks()))
    for task in numbered:
        if (numbers := _numbers(task, name)) is not None:
            return _named(task.build(*numbers), name)
    raise RtrrlError(f"no task '{name}': " + "; ".join(map(_expected, numbered)))


def _named(world: AbstractEnvironment, name: str) -> AbstractEnvironment:
    return Named(world, name) if isinstance(world, Environment) else world


def _base(task: Task) -> str:
    return task.info.name.rsplit("-", len(task.ranges))[0]


def _numbers(task: Task, name: str) -> list[int] | None:
    """The numbers in `name` if it fits the task's pattern and their ranges."""
    texts = name.removeprefix(_base(task) + "-").split("-")
    if len(texts) != len(task.ranges) or not all(re.fullmatch("[1-9][0-9]{0,8}", t) for t in texts):
        return None
    numbers = [int(text) for text in texts]
    fits = (least <= n <= most for n, (least, most) in zip(numbers, task.ranges, strict=True))
    return numbers if all(fits) else None


def _expected(task: Task) -> str:
    letters = task.info.name.removeprefix(_base(task) + "-").split("-")
    ranges = " and ".join(
        f"{letter} from {least} to {most}"
        for letter, (least, most) in zip(letters, task.ranges, strict=True)
    )
    return f"{task.info.name} takes {ranges}, as in {task.info.example}"
