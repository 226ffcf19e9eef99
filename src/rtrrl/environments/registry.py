"""From a task's name to its world."""

import re

from rtrrl.environments.base import Environment
from rtrrl.environments.catalogue import TASKS, Task, TaskInfo
from rtrrl.environments.wrappers import Named
from rtrrl.errors import RtrrlError, UnknownNameError


def tasks() -> list[TaskInfo]:
    """Every task that `make` knows, in the order of the catalogue.

    >>> [task.name for task in tasks() if task.backend == "rtrrl"]
    ['TMaze-N', 'DelayedRecall-N', 'DelayedRecall-K-N']
    """
    return [task.info for task in TASKS]


def make(name: str) -> Environment:
    """The world called `name`: it shows a float32 vector and takes an integer or a vector.

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
        return Named(exact[0].build(), name)
    numbered = [task for task in TASKS if task.ranges and name.startswith(_base(task) + "-")]
    if not numbered:
        raise UnknownNameError("task", name, (task.info.example for task in TASKS))
    for task in numbered:
        if (numbers := _numbers(task, name)) is not None:
            return Named(task.build(*numbers), name)
    raise RtrrlError(f"no task '{name}': " + "; ".join(map(_expected, numbered)))


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
