"""What a run came to: its best and final scores, and why it ended."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float

CURVE = "learning_curve.png"
VARIANCE = "variance.png"


class StopReason(StrEnum):
    """Why a run came to an end."""

    BUDGET = "budget"
    PATIENCE = "patience"
    INTERRUPT = "interrupt"
    ERROR = "error"

    @property
    def finished(self) -> bool:
        """Whether nothing is left to resume."""
        return self in (StopReason.BUDGET, StopReason.PATIENCE)


class Score(NamedTuple):
    """One seed's evaluations in two numbers; NaN where nothing was evaluated."""

    best: float
    final: float


def score(steps: Sequence[int], evaluations: Sequence[float | None], budget: int) -> Score:
    """Best and final score of one seed: *the* definition of both.

    `best` is the highest evaluation. `final` is the mean over the evaluations in the last tenth of
    the steps run (at most `budget`), of the last three where fewer lie there, of all where there
    are fewer than three. Evaluations that are None or not finite count as not taken.

    >>> score([100, 200, 300, 400], [0.0, 4.0, 1.0, 1.0], budget=400)
    Score(best=4.0, final=2.0)
    """
    at, values = np.asarray(steps), np.asarray(evaluations, np.float64)  # None becomes NaN
    taken = np.isfinite(values)
    if not taken.any():
        return Score(math.nan, math.nan)
    end = min(budget, at.max())
    in_last_tenth = int(np.sum(10 * at[taken] > 9 * end))
    values = values[taken]
    return Score(float(values.max()), float(values[-max(in_last_tenth, 3) :].mean()))


@dataclass(frozen=True)
class Run:
    """What a training run was asked, measured and came to.

    `config` holds at least `task`, `agent` (its name), `steps` (the budget of each seed) and
    `seeds`; `metrics` is one row a chunk and seed, as in `append_metrics`, in order of steps;
    `steps_per_second` counts the steps of all seeds together. `stopped_by` is None for a run that
    is still going or was killed; `folder` is None for a run that was never written. `states` holds
    the agents as they ended, along a leading axis of seeds, where they are in memory.
    """

    config: dict
    metrics: list[dict]
    seeds: list[int]
    steps_per_second: float
    stopped_by: StopReason | None = None
    folder: Path | None = None
    states: Any = None

    @property
    def steps(self) -> int:
        """The environment steps each seed has run."""
        return max((row["step"] for row in self.metrics), default=0)

    @property
    def finished(self) -> bool:
        """Whether nothing is left to resume."""
        return self.stopped_by is not None and self.stopped_by.finished

    @property
    def best(self) -> Float[np.ndarray, " seeds"]:
        """The highest evaluation of every seed."""
        return np.array([each.best for each in self._scores()])

    @property
    def final(self) -> Float[np.ndarray, " seeds"]:
        """The mean evaluation of every seed over the last tenth of its steps (see `score`)."""
        return np.array([each.final for each in self._scores()])

    @property
    def monitored(self) -> bool:
        """Whether the variance of its updates was recorded (see `monitoring`)."""
        return any("gradient_variance" in row for row in self.metrics)

    def evaluations(self, seed: int) -> tuple[list[int], list[float | None]]:
        """The steps at which `seed` was evaluated or logged, and its evaluation return there."""
        return self.column("evaluation", seed)

    def column(self, name: str, seed: int) -> tuple[list[int], list[float | None]]:
        """The steps at which `seed` was logged, and what it measured there under `name`."""
        rows = [row for row in self.metrics if row["seed"] == seed]
        return [row["step"] for row in rows], [row.get(name) for row in rows]

    def result(self) -> dict:
        """The content of result.json."""
        return {
            "task": self.config["task"],
            "agent": self.config["agent"],
            "steps": self.steps,
            "seeds": list(self.seeds),
            "best": self.best.tolist(),
            "final": self.final.tolist(),
            "steps_per_second": self.steps_per_second,
            "finished": self.finished,
            "stopped_by": self.stopped_by,
        }

    def _scores(self) -> list[Score]:
        return [score(*self.evaluations(seed), self.config["steps"]) for seed in self.seeds]
