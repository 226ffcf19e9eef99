"""How the seeds of a run are stepped: compiled, on threads, or with environments on the host."""

from rtrrl.environments import HostEnvironment
from rtrrl.runs.config import RunConfig
from rtrrl.training.runners.base import Runner as Runner
from rtrrl.training.runners.base import reset_statistics as reset_statistics
from rtrrl.training.runners.host import HostRunner as HostRunner
from rtrrl.training.runners.threads import ThreadRunner as ThreadRunner


def make_runner(config: RunConfig) -> Runner:
    """The runner that fits the environment."""
    kind = HostRunner if isinstance(config.environment, HostEnvironment) else ThreadRunner
    return kind(config)
