"""Bytes per agent of many seeds, in a process of its own: python memory.py TASK SEEDS.

Prints, as JSON, the least that an agent needs (parameters, influence, traces, moments), what the
compiled loop plans to hold at its peak, and by how much the process grew (Linux only, else null).
"""

import ctypes
import json
import sys
from pathlib import Path

import jax
import numpy as np
from workloads import initial_state, initializer, paper, training

from rtrrl.agents import RTRRL
from rtrrl.cells import recurrent_parameters
from rtrrl.types import PyTree, parameters

STEPS = 4
STATUS, CLEAR = Path("/proc/self/status"), Path("/proc/self/clear_refs")


def least(agent: RTRRL) -> int:
    """Bytes of parameters, influence (one number a weight), traces and Adam's two moments."""

    def trainable() -> PyTree:
        params = initial_state(agent).params
        return [parameters(params)] * 4, recurrent_parameters(params.cell)

    numbers = sum(leaf.size for leaf in jax.tree.leaves(jax.eval_shape(trainable)))
    return numbers * np.dtype(np.float32).itemsize


def measured(task: str, seeds: int) -> dict[str, float | None]:
    """Bytes per agent: the least, planned by the compiler, and grown by the process."""
    agent = paper(task)
    init = initializer(agent, task, seeds).lower().compile()
    program = training(agent, task, seeds)
    before = _resident()
    jax.block_until_ready(program(init(), STEPS))
    grown = None if before is None else (_status("VmHWM") - before) / seeds
    return {"least": least(agent), "planned": program.bytes / seeds, "grown": grown}


def _resident() -> int | None:
    """Resident bytes, after freeing what compiling left behind; resets the recorded peak."""
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
