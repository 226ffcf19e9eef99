"""How the seeds of a run are lived: compiled on threads, or in step with worlds on the host."""

from rtrrl.environments import HostEnvironment
from rtrrl.plans import Plan
from rtrrl.workers.base import Workers, cleared
from rtrrl.workers.host import HostWorkers
from rtrrl.workers.threads import ThreadWorkers


def workers_for(plan: Plan) -> Workers:
    """Those that fit the plan's environment."""
    return (HostWorkers if isinstance(plan.environment, HostEnvironment) else ThreadWorkers)(plan)


__all__ = ["HostWorkers", "ThreadWorkers", "Workers", "cleared", "workers_for"]
