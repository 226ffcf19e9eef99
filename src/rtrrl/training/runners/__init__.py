"""How the seeds of a run are lived: compiled on threads, or in step with worlds on the host."""

from rtrrl.environments import HostEnvironment
from rtrrl.runs.config import RunConfig
from rtrrl.training.runners.base import Runner, with_reset_statistics
from rtrrl.training.runners.host import HostRunner
from rtrrl.training.runners.threads import ThreadRunner


def make_runner(plan: RunConfig) -> Runner:
    """Those that fit the plan's environment."""
    return (HostRunner if isinstance(plan.environment, HostEnvironment) else ThreadRunner)(plan)


__all__ = ["HostRunner", "Runner", "ThreadRunner", "make_runner", "with_reset_statistics"]
