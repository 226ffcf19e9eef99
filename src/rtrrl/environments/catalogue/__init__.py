"""The tasks by name, as data: a backend joins by adding rows to `TASKS` or a family."""

from rtrrl.environments.catalogue import brax, gymnasium, gymnax, neurogym, own, popgym
from rtrrl.environments.catalogue.task import Extra as Extra
from rtrrl.environments.catalogue.task import Family as Family
from rtrrl.environments.catalogue.task import Task as Task
from rtrrl.environments.catalogue.task import TaskInfo as TaskInfo

TASKS: tuple[Task, ...] = (
    *gymnax.TASKS,
    *own.TASKS,
    *popgym.TASKS,
    *brax.TASKS,
    *gymnasium.TASKS,
    *neurogym.TASKS,
)

FAMILIES: tuple[Family, ...] = (*brax.FAMILIES, *gymnasium.FAMILIES, *neurogym.FAMILIES)
