"""Short runs, and comparisons of runs."""

import json
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest

import rtrrl
from rtrrl import RTRRL
from rtrrl.cells import RTUConfig
from rtrrl.errors import TrainingInterrupted
from rtrrl.learning.optimizers import Adam
from rtrrl.runs import storage
from rtrrl.runs.locking import LOCK
from rtrrl.runs.run import Run
from rtrrl.training import trainer
from tests.counting import CountingAgent, PaidAction

TASK = "TMaze-3"
STEPS, EVALUATIONS, EPISODES, SEEDS = 1203, 4, 3, [1, 3]  # evaluated at 300, 601, 902, 1203


def small_agent(**changes: Any) -> RTRRL:
    return RTRRL.default(
        TASK, **{"cell": RTUConfig(hidden_size=4), "optimizer": Adam(), "gamma": 0.99} | changes
    )


def train_small(agent: RTRRL | None = None, **changes: Any) -> Run:
    """A run of two seeds in a T-maze."""
    settings = {
        "steps": STEPS,
        "seeds": SEEDS,
        "evaluations": EVALUATIONS,
        "episodes": EPISODES,
        "workers": 1,
    }
    return rtrrl.train(TASK, agent or small_agent(), **settings | changes)


def train_counting(agent: CountingAgent | None = None, env: Any = None, **changes: Any) -> Run:
    """A run in which every evaluation is the agent's number of steps."""
    settings = {"seeds": 1, "workers": 1, "episodes": 2}
    return rtrrl.train(env or PaidAction(), agent or CountingAgent(), **settings | changes)


def interrupt_in_slice(monkeypatch: Any, runner: type, count: int, times: int = 1) -> None:
    """Tiny slices, and Ctrl-C so many times at the start of the `count`-th of them."""
    slices, advance = [], runner.advance

    def interrupted(*arguments):
        slices.append(1)
        if len(slices) == count:
            for _ in range(times):
                signal.raise_signal(signal.SIGINT)  # two sent by kill may arrive as one
        return advance(*arguments)

    monkeypatch.setattr(trainer, "SLICE_SECONDS", 1e-9)
    monkeypatch.setattr(runner, "advance", interrupted)


def interrupted_run(train: Callable[[], Run]) -> Run:
    """The run that Ctrl-C ends in `train`."""
    with pytest.raises(TrainingInterrupted) as stop:
        train()
    return stop.value.run


def snapshot(folder: Path) -> dict[str, bytes]:
    """The files of a folder, but its lock."""
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.name != LOCK}


def rows_without_time(folder: Path) -> list[dict]:
    rows = [json.loads(line) for line in (folder / storage.METRICS).read_text().splitlines()]
    return [{name: row[name] for name in row if name != "seconds"} for row in rows]


def read_result(folder: Path) -> dict:
    return json.loads((folder / storage.RESULT).read_text())


def assert_same_run(ours: Path, theirs: Path) -> None:
    """The same metrics, scores, and bits of every array in the checkpoint."""
    assert rows_without_time(ours) == rows_without_time(theirs)
    payloads = [(f / storage.CHECKPOINT).read_bytes().partition(b"\n")[2] for f in (ours, theirs)]
    assert payloads[0] == payloads[1]
    result, expected = read_result(ours), read_result(theirs)
    for name in ("best", "final", "steps", "seeds", "finished", "stopped_by"):
        assert result[name] == expected[name]


def assert_params_close(ours: Any, theirs: Any, rtol: float = 1e-4, atol: float = 1e-5) -> None:
    """Up to rounding: another program, or another number of seeds in it, rounds differently."""
    for a, b in zip(jax.tree.leaves(ours.params), jax.tree.leaves(theirs.params), strict=True):
        np.testing.assert_allclose(a, b, rtol=rtol, atol=atol)
