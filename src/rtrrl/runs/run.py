"""The result of a training run: its best and final scores, and why it ended."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import equinox as eqx
import jax
import numpy as np
from jaxtyping import Float

from rtrrl.agents import Agent
from rtrrl.environments import AbstractEnvironment
from rtrrl.errors import RtrrlError
from rtrrl.runs.config import RunConfig
from rtrrl.runs.serialization import as_numbers
from rtrrl.types import PyTree

if TYPE_CHECKING:
    import pandas

CURVE = "learning_curve.png"
VARIANCE = "variance.png"


class StopReason(StrEnum):
    """Why a run ended."""

    BUDGET = "budget"
    PATIENCE = "patience"
    CALLBACK = "callback"
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
    """The best and the final score of one seed, as every table and figure uses them.

    `best` is the highest evaluation. `final` is the mean over the evaluations in the last tenth of
    the steps run (at most `budget`), of the last three where fewer are in there, of all where there
    are fewer than three. Evaluations that are None or not finite are left out.

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


def rows_of(rows: Sequence[dict], seeds: Sequence[int], index: int) -> list[dict]:
    """One seed's rows of metrics, by its place: an evaluation has a row for each of `seeds`."""
    seed = seeds[index]
    of_seed = [row for row in rows if row["seed"] == seed]
    return of_seed[seeds[:index].count(seed) :: seeds.count(seed)]


@dataclass(frozen=True, kw_only=True, repr=False)
class TrainedAgents:
    """The agents of a run, as they were after some number of steps."""

    config: RunConfig
    states: PyTree
    """Every array with a leading axis over the seeds."""
    steps: tuple[int, ...]
    """The steps that each seed's agent had been trained for."""

    def __repr__(self) -> str:
        return (
            f"TrainedAgents({self.config.label!r}, {self.environment.name!r}, "
            f"seeds={self.seeds}, steps={self.steps})"
        )

    @property
    def step(self) -> int:
        """The largest of `steps`."""
        return max(self.steps)

    @property
    def agent(self) -> Agent:
        """The agent that all seeds share; a setting may be an array with one entry per seed."""
        return self.config.agent

    @property
    def environment(self) -> AbstractEnvironment:
        """The environment that they were trained in."""
        return self.config.environment

    @property
    def seeds(self) -> tuple[int, ...]:
        """The seeds, in the order of the states."""
        return self.config.seeds

    def one(self, index: int) -> tuple[Agent, PyTree]:
        """The agent and the state of one seed, by its place among the seeds."""
        return jax.tree.map(
            lambda leaf: leaf[index] if eqx.is_array(leaf) else leaf, (self.agent, self.states)
        )


@dataclass(frozen=True, kw_only=True, repr=False)
class Run:
    """The config, metrics and scores of a training run."""

    config: dict
    """As in config.json: at least `task`, `agent` (its name), `steps` of each seed and `seeds`."""
    metrics: list[dict]
    """One row per evaluation and seed, in order of steps (see `storage.append_metrics`)."""
    seeds: list[int]
    steps_per_second: float
    """Counts the steps of all seeds together."""
    stopped_by: StopReason | None = None
    """None for a run that has not ended, or was killed."""
    folder: Path | None = None
    """None for a run that is in memory only."""
    trained: TrainedAgents | None = None
    """The agents at the end of training; None for a run that was read from its folder."""
    trained_best: TrainedAgents | None = None
    """Every seed's agent at its best evaluation; None also where there was no evaluation."""

    def __repr__(self) -> str:
        scores = f"best {np.round(self.best, 4)}, final {np.round(self.final, 4)}"
        ended = f"stopped by {self.stopped_by}" if self.stopped_by else "not ended"
        where = f", in {self.folder}" if self.folder else ""
        return (
            f"<Run of {self.config['agent']} in {self.config['task']}: seeds {self.seeds}, "
            f"{self.steps:,} steps, {scores}, {ended}{where}>"
        )

    @property
    def steps(self) -> int:
        """The environment steps of each seed up to the last evaluation."""
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
        """Whether the variance of its updates was recorded (see `agents.monitoring`)."""
        return any("gradient_variance" in row for row in self.metrics)

    def agents(self, best: bool = False) -> TrainedAgents:
        """The agents at the end of training, or each as it was at its `best` evaluation.

        **Raises** `RtrrlError` where the run was read from its folder: `rtrrl.load` reads them too.
        """
        trained = self.trained_best if best else self.trained
        if trained is None:
            raise RtrrlError(
                "the run holds no agents: load them from its folder, with "
                f"rtrrl.load({str(self.folder)!r})"
                if self.folder
                else "the run holds no agents: it ended in an error, or before an evaluation"
            )
        return trained

    @property
    def per_seed(self) -> dict[str, tuple[float, ...]]:
        """The settings that differ among the seeds, by dotted path: one value for each seed."""
        written = self.config.get("per_seed", {})
        return {path: tuple(as_numbers(list(values))) for path, values in written.items()}

    def column(
        self, name: str, seed: int | None = None, *, index: int | None = None
    ) -> tuple[list[int], list[float | None]]:
        """The steps at which a seed was evaluated, and the metric `name` there.

        The seed is given by its number, or by its `index` among `seeds`.

        **Raises** `RtrrlError` where the run has no such seed, or has it several times, with
        settings that differ: `index` tells them apart.
        """
        if index is None:
            places = [i for i, each in enumerate(self.seeds) if each == seed]
            if len(places) != 1:
                raise RtrrlError(
                    f"the run has seed {seed} {len(places)} times: give the place among its seeds, "
                    f"{self.seeds}, as in run.column({name!r}, index={places[0] if places else 0})"
                )
            (index,) = places
        rows = rows_of(self.metrics, self.seeds, index)
        return [row["step"] for row in rows], [row.get(name) for row in rows]

    def to_dataframe(self) -> "pandas.DataFrame":
        """The metrics as a table of pandas, with the columns `task` and `agent` in front.

        **Raises** `RtrrlError` where pandas is not installed.
        """
        try:
            import pandas
        except ModuleNotFoundError:
            raise RtrrlError("pandas is not installed: pip install pandas") from None
        frame = pandas.DataFrame(self.metrics)
        frame.insert(0, "task", self.config["task"])
        frame.insert(1, "agent", self.config["agent"])
        return frame

    def result(self) -> dict:
        """The content of result.json."""
        return {
            "task": self.config["task"],
            "agent": self.config["agent"],
            "steps": self.steps,
            "seeds": list(self.seeds),
            "per_seed": {path: list(values) for path, values in self.per_seed.items()},
            "best": self.best.tolist(),
            "final": self.final.tolist(),
            "steps_per_second": self.steps_per_second,
            "finished": self.finished,
            "stopped_by": self.stopped_by,
        }

    def _scores(self) -> list[Score]:
        budget = self.config["steps"]
        places = range(len(self.seeds))
        return [score(*self.column("evaluation", index=index), budget) for index in places]
