"""Agents that learn in real time from one stream: online recurrent reinforcement learning.

The names below are imported when they are first asked for, so that `rtrrl --help` need not
wait for JAX.
"""

import importlib
from typing import TYPE_CHECKING, Any

from rtrrl.utils.xla import compile_loops_whole

if TYPE_CHECKING:
    from rtrrl import cells, environments, gradients
    from rtrrl.agents import PPO, RTRRL
    from rtrrl.environments import make, tasks
    from rtrrl.gradients.certificates import certify
    from rtrrl.runs.run import Run
    from rtrrl.runs.storage import load_run
    from rtrrl.training.evaluation import evaluate
    from rtrrl.training.train import load_agents, resume, train

__version__ = "0.1.0"

compile_loops_whole()

_EXPORTS = {
    "PPO": "agents",
    "RTRRL": "agents",
    "Run": "runs.run",
    "certify": "gradients.certificates",
    "evaluate": "training.evaluation",
    "load_agents": "training.train",
    "load_run": "runs.storage",
    "make": "environments",
    "resume": "training.train",
    "tasks": "environments",
    "train": "training.train",
}
_PACKAGES = ("agents", "cells", "environments", "gradients", "learning", "viz")

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
    if name in _EXPORTS:
        return getattr(importlib.import_module(f"rtrrl.{_EXPORTS[name]}"), name)
    if name in _PACKAGES:
        return importlib.import_module(f"rtrrl.{name}")
    raise AttributeError(f"module 'rtrrl' has no attribute '{name}'")
