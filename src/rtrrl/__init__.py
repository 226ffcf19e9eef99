"""Online recurrent reinforcement learning from one stream of experience.

The names below are imported when they are first used, so that `rtrrl --help` need not wait for JAX.
"""

import importlib
from typing import TYPE_CHECKING, Any

from rtrrl.utils.forking import watch_forks
from rtrrl.utils.xla import compile_loops_whole

if TYPE_CHECKING:
    from rtrrl import agents, cells, environments, gradients, learning, viz
    from rtrrl.agents import PPO, RTRRL
    from rtrrl.agents.registry import make_agent, register
    from rtrrl.environments import make, tasks
    from rtrrl.gradients.certificates import certify
    from rtrrl.runs.run import Run
    from rtrrl.runs.storage import load_run
    from rtrrl.training.callbacks import Callback
    from rtrrl.training.evaluation import evaluate
    from rtrrl.training.rollout import rollout
    from rtrrl.training.train import load, resume, train
    from rtrrl.utils.compilation_cache import use_compilation_cache
    from rtrrl.viz import plot

__version__ = "0.2.0"

compile_loops_whole()
watch_forks()

_EXPORTS = {
    "PPO": "agents",
    "RTRRL": "agents",
    "make_agent": "agents.registry",
    "register": "agents.registry",
    "make": "environments",
    "tasks": "environments",
    "certify": "gradients.certificates",
    "Run": "runs.run",
    "load_run": "runs.storage",
    "Callback": "training.callbacks",
    "evaluate": "training.evaluation",
    "rollout": "training.rollout",
    "load": "training.train",
    "resume": "training.train",
    "train": "training.train",
    "use_compilation_cache": "utils.compilation_cache",
    "plot": "viz",
}
_PACKAGES = ("agents", "cells", "environments", "gradients", "learning", "viz")

__all__ = [
    "PPO",
    "RTRRL",
    "Callback",
    "Run",
    "agents",
    "cells",
    "certify",
    "environments",
    "evaluate",
    "gradients",
    "learning",
    "load",
    "load_run",
    "make",
    "make_agent",
    "plot",
    "register",
    "resume",
    "rollout",
    "tasks",
    "train",
    "use_compilation_cache",
    "viz",
]


def __getattr__(name: str) -> Any:
    if name in _EXPORTS:
        return getattr(importlib.import_module(f"rtrrl.{_EXPORTS[name]}"), name)
    if name in _PACKAGES:
        return importlib.import_module(f"rtrrl.{name}")
    raise AttributeError(f"module 'rtrrl' has no attribute '{name}'")


def __dir__() -> list[str]:
    return __all__
