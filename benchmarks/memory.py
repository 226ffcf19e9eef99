"""Bytes per agent of a population, as a process of its own: python memory.py TASK AGENTS.

Prints, as JSON, what an agent needs at least (parameters, influence, traces, moments), what the
compiled loop plans to hold at its peak, and by how much the process grew (Linux only, else null).
"""

import ctypes
import json
import sys
from pathlib import Path

import jax
import numpy as np
from subjects import births, living, newborn, paper

from rtrrl.agents import RTRRL
from rtrrl.cells import recurrent_parameters
from rtrrl.types import PyTree, parameters

STEPS = 4
STATUS, CLEAR = Path("/proc/self/status"), Path("/proc/self/clear_refs")


def least(agent: RTRRL) -> int:
    """Bytes of parameters, influence (one number a weight), traces and Adam's two moments."""

    def learnt() -> PyTree:
        groups = newborn(agent).parameters
        return [parameters(groups)] * 4, recurrent_parameters(groups.cell)

    numbers = sum(leaf.size for leaf in jax.tree.leaves(jax.eval_shape(learnt)))
    return numbers * np.dtype(np.float32).itemsize


def measured(task: str, agents: int) -> dict[str, float | None]:
    """Bytes per agent: at least, planned by the compiler, and grown by the process."""
    agent = paper(task)
    born = births(agent, task, agents).lower().compile()
    program = living(agent, task, agents)
    before = _resident_from_here()
    jax.block_until_ready(program(born(), STEPS))
    grown = None if before is None else (_status("VmHWM") - before) / agents
    return {"least": least(agent), "planned": program.bytes / agents, "grown": grown}


def _resident_from_here() -> int | None:
    """Resident bytes, after what compiling left behind is given back; the peak starts anew."""
    if not CLEAR.exists():
        return None
    ctypes.CDLL(None).malloc_trim(0)
    CLEAR.write_text("5")
    return _status("VmRSS")


def _status(name: str) -> int:
    line = next(line for line in STATUS.read_text().splitlines() if line.startswith(name))
    return int(line.split()[1]) * 1024


if __name__ == "__main__":
    print(json.dumps(measured(sys.argv[1], int(sys.argv[2]))))
