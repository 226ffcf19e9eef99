"""Agents that learn in real time from one stream: online recurrent reinforcement learning.

The names below are imported when they are first asked for, so that `rtrrl --help` need not
wait for JAX.
"""

import importlib
from typing import TYPE_CHECKING, Any

from rtrrl.compiler import compile_loops_whole

if TYPE_CHECKING:
    from rtrrl import cells, environments, gradients
    from rtrrl.agents import PPO, RTRRL
    from rtrrl.certificates import certify
    from rtrrl.environments import make, tasks
    from rtrrl.evaluation import evaluate
    from rtrrl.results import Run
    from rtrrl.runs import load_run
    from rtrrl.training import load_agents, resume, train

__version__ = "0.1.0"

compile_loops_whole()

_HOMES = {
    "PPO": "agents",
    "RTRRL": "agents",
    "Run": "results",
    "certify": "certificates",
    "evaluate": "evaluation",
    "load_agents": "training",
    "load_run": "runs",
    "make": "environments",
    "resume": "training",
    "tasks": "environments",
    "train": "training",
}
_ROOMS = ("agents", "cells", "environments", "gradients", "readouts", "traces", "updates")

__all__ = [
    "PPO",
    "RTRRL",
    "Run",
    "cells",
    "certify",
    "environments",
    "evaluate",
    "gradients",
    "load_agents",
    "load_run",
    "make",
    "resume",
    "tasks",
    "train",
]


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(importlib.import_module(f"rtrrl.{_HOMES[name]}"), name)
    if name in _ROOMS:
        return importlib.import_module(f"rtrrl.{name}")
    raise AttributeError(f"module 'rtrrl' has no attribute '{name}'")
