"""The tasks by name, as data: a backend joins by adding rows to `TASKS`."""

from rtrrl.environments.catalogue import gymnax, own
from rtrrl.environments.catalogue.task import Task as Task
from rtrrl.environments.catalogue.task import TaskInfo as TaskInfo

TASKS: tuple[Task, ...] = (*gymnax.TASKS, *own.TASKS)
