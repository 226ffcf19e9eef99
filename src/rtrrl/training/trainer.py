"""The loop of a run: compiled steps, evaluations, callbacks, files, Ctrl-C, NaN."""

import contextlib
import dataclasses
import threading
import time
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import equinox as eqx
import jax
import numpy as np
from jaxtyping import Float, Shaped

from rtrrl.agents.monitoring import measured
from rtrrl.errors import NonFiniteError, RtrrlWarning, TrainingInterrupted
from rtrrl.runs import checkpoints, storage
from rtrrl.runs.config import RunConfig
from rtrrl.runs.run import Run, StopReason, TrainedAgents, rows_of
from rtrrl.training.best import BestAgents
from rtrrl.training.callbacks import Callback
from rtrrl.training.evaluation_protocol import Progress, Returns
from rtrrl.training.loop import RunnerState
from rtrrl.training.runners import Runner, reset_statistics
from rtrrl.utils import slicing
from rtrrl.utils.signals import catch_sigint

SLICE_SECONDS = slicing.SECONDS
"""How long the compiled loop runs between two checks for Ctrl-C, NaN and callbacks."""

SAVE_SECONDS = 30.0
"""The most that a killed run loses; it is saved at every evaluation as well."""


@dataclasses.dataclass(kw_only=True)
class Trainer:
    """A run in progress."""

    config: RunConfig
    runner: Runner
    states: list[RunnerState]
    folder: Path | None = None
    callbacks: Sequence[Callback] = ()
    step: int = 0
    rows: list[dict] = dataclasses.field(default_factory=list)
    """The metrics so far."""
    best: BestAgents | None = None
    """None before the first evaluation."""
    seconds: float = 0.0
    """The wall time of all steps, without evaluations."""
    steps_done: int = 0
    """The steps of each seed in those seconds."""

    def run(self) -> Run:
        """Train until the budget, the patience or a callback ends it.

        **Raises** `TrainingInterrupted` after Ctrl-C, with everything saved.
        """
        stopped_by = StopReason.ERROR
        started = []
        try:
            with catch_sigint() as interrupted:
                for callback in self.callbacks:
                    callback.on_start(self.config, self.step)
                    started.append(callback)
                stopped_by = self._loop(interrupted)
        finally:
            run = self._result(stopped_by)
            with contextlib.ExitStack() as ends:  # all are called, even if one raises
                for callback in reversed(started):
                    ends.callback(callback.on_end, run)
                storage.save_result(run)
        if interrupted.is_set():  # also after the last step, for a loop over runs
            raise TrainingInterrupted(run)
        return run

    def save(self) -> None:
        """Write the checkpoint, if the run has a folder."""
        if self.folder is not None:
            saved, meta = self.runner.to_saved(self.states)
            meta |= {"step": self.step, "evaluated": self._evaluated}
            checkpoints.save(self.folder / storage.CHECKPOINT, saved, meta)

    def _save_best(self) -> None:
        """Write the best agents where they are new, after the checkpoint: see `best.restored`."""
        if self.folder is not None and self.best is not None and self.step in self.best.steps:
            self.best.save(self.folder / storage.BEST_CHECKPOINT)

    def _loop(self, interrupted: threading.Event) -> StopReason:
        # zero steps: compile the loop before the clock starts
        self._advance(0)
        self.seconds = 0.0
        size, saved, started = self.runner.first_slice, time.perf_counter(), time.perf_counter()
        stop = False
        while True:
            if self._evaluation_is_due():
                try:
                    rows = self._evaluate(interrupted, time.perf_counter() - started)
                except _EvaluationStoppedError:
                    self.save()  # a resumed run starts with this evaluation
                    return StopReason.INTERRUPT
                stop |= self._call("on_evaluation", rows)
                started = time.perf_counter()
                self.save()
                self._save_best()
                saved = time.perf_counter()
            if self.step >= self.config.steps:
                return StopReason.BUDGET
            if stop:
                self.save()
                return StopReason.CALLBACK
            # checked before the first step, for a run that is resumed where its patience ended
            if self._out_of_patience():
                return StopReason.PATIENCE
            if interrupted.is_set():
                self.save()
                return StopReason.INTERRUPT
            count = min(size, self.config.next_evaluation(self.step) - self.step)
            took = self._advance(count)
            size = slicing.next_count(count, took, SLICE_SECONDS)
            speed = {"step": self.step, "steps_per_second": self._steps_per_second()}
            stop = self._call("on_metrics", speed | self._statistics())
            if time.perf_counter() - saved > SAVE_SECONDS:
                self.save()
                saved = time.perf_counter()

    @property
    def _evaluated(self) -> int:
        """The step of the last evaluation."""
        return self.rows[-1]["step"] if self.rows else 0

    def _evaluation_is_due(self) -> bool:
        """Whether the present step has an evaluation that has not been done."""
        return self._evaluated < self.step == self.config.next_evaluation(self.step - 1)

    def _call(self, method: str, argument: Any) -> bool:
        """Call every callback; returns whether any asks to stop."""
        return True in [getattr(callback, method)(argument) for callback in self.callbacks]

    def _advance(self, count: int) -> float:
        """`count` steps of all seeds; returns the seconds that they took."""
        start = time.perf_counter()
        self.states = self.runner.advance(self.states, count)
        took = time.perf_counter() - start
        self.step += count
        self.steps_done += count
        self.seconds += took
        self._check_finite()
        return took

    def _statistics(self) -> dict[str, Shaped[np.ndarray, " seeds"]]:
        """Of training since the last evaluation, over all environments of each seed."""
        seeds = len(self.config.seeds)
        sums = jax.tree.map(
            lambda *parts: np.concatenate(parts).reshape(seeds, -1).sum(axis=1),
            *(state.statistics for state in self.states),
        )
        with np.errstate(invalid="ignore", divide="ignore"):
            return {
                "training_return": sums.returns / sums.episodes,
                "episodes": sums.episodes,
                "td_error_rms": np.sqrt(sums.squared_td_error / sums.steps),
                "entropy": sums.entropy / sums.steps,
            }

    def _evaluate(self, interrupted: threading.Event, seconds: float) -> list[dict]:
        """Evaluate, keep the best agents, and write one row of metrics per seed.

        The statistics start anew. **Raises** `_EvaluationStoppedError` on Ctrl-C.
        """

        def poll(progress: Progress) -> None:
            if interrupted.is_set():
                raise _EvaluationStoppedError
            self._call("on_evaluation_progress", progress)

        result = self.runner.evaluate(self.states, self.step, poll)
        self._check_returns(result)
        scores = result.returns.mean(axis=1)
        columns = {"evaluation": scores, "cut_episodes": result.cut.sum(axis=1)}
        columns |= self._statistics()
        self.states = reset_statistics(self.states)
        shards = [measured(state.agent_state) for state in self.states]
        columns |= {name: np.concatenate([shard[name] for shard in shards]) for name in shards[0]}
        settings, front = self.config.per_seed, dict.fromkeys(("step", "seed"))
        rows = [
            front
            | {path: values[i] for path, values in settings.items()}
            | {"step": self.step, "seed": seed, "seconds": round(seconds, 4)}
            | {name: column[i].item() for name, column in columns.items()}
            for i, seed in enumerate(self.config.seeds)
        ]
        self.rows += rows
        if self.folder is not None:
            storage.append_metrics(self.folder, rows)
        self._keep_best(scores)
        return rows

    def _check_returns(self, result: Returns) -> None:
        """Warn once of episodes that were cut. **Raises** `NonFiniteError`."""
        name = self.config.environment.name
        for seed, each in zip(self.config.seed_names, result.returns, strict=True):
            if not np.isfinite(each).all():
                raise NonFiniteError(
                    f"{name} gave NaN or infinity as reward while seed {seed} was evaluated at "
                    f"step {self.step}: fix the environment"
                )
        if result.cut.any() and not any(row.get("cut_episodes") for row in self.rows):
            message = result.cut_message(name, self.config.max_episode_steps)
            warnings.warn(message, RtrrlWarning, stacklevel=2)

    def _keep_best(self, scores: Float[np.ndarray, " seeds"]) -> None:
        if self.best is None:
            states = self.runner.agent_states(self.states)
            self.best = BestAgents.none(states, len(scores))
        if self.best.improved(scores).any():
            states = self.runner.agent_states(self.states)
            self.best = self.best.updated(states, scores, self.step)

    def _check_finite(self) -> None:
        """**Raises** `NonFiniteError` with the seed, the step and the name of the array."""
        config = self.config
        steps = np.concatenate([np.asarray(state.nonfinite_step) for state in self.states])
        steps = steps.reshape(len(config.seeds), -1)  # of each environment
        steps = np.where(steps < 0, np.inf, steps).min(axis=1)
        for seed, step in zip(config.seed_names, steps, strict=True):
            if step < np.inf:
                raise NonFiniteError(
                    f"{config.environment.name} gave NaN or infinity as reward or observation at "
                    f"step {step:.0f} of seed {seed}: fix the environment; the last checkpoint is "
                    "from before"
                )
        for shard, state in zip(self.runner.shards, self.states, strict=True):
            for path, leaf in jax.tree_util.tree_leaves_with_path(state.agent_state):
                if not eqx.is_inexact_array(leaf):
                    continue
                bad = ~np.isfinite(np.asarray(leaf)).reshape(leaf.shape[0], -1).all(axis=1)
                if bad.any():
                    seed = config.seed_names[shard][int(bad.argmax())]
                    raise NonFiniteError(
                        f"seed {seed} diverged: its {jax.tree_util.keystr(path)[1:]} is NaN or "
                        f"infinite by step {self.step}; lower the learning rate"
                    )

    def _out_of_patience(self) -> bool:
        if self.config.patience is None:
            return False
        waits = []
        for index in range(len(self.config.seeds)):
            rows = rows_of(self.rows, self.config.seeds, index)
            best = int(np.argmax([row["evaluation"] for row in rows])) if rows else 0
            later = [row["step"] > self.config.patience_after for row in rows[best + 1 :]]
            waits.append(sum(later))
        return min(waits) >= self.config.patience

    def _steps_per_second(self) -> float:
        steps = self.steps_done * len(self.config.seeds) * self.config.num_envs
        return steps / max(self.seconds, 1e-9)

    def _result(self, stopped_by: StopReason) -> Run:
        trained = best = None
        if stopped_by is not StopReason.ERROR:
            states = self.runner.agent_states(self.states)
            steps = (self.step,) * len(self.config.seeds)
            trained = TrainedAgents(config=self.config, states=states, steps=steps)
        if self.best is not None:
            steps = tuple(self.best.steps.tolist())
            best = TrainedAgents(config=self.config, states=self.best.states, steps=steps)
        return Run(
            config=self.config.to_dict(describe=self.folder is None),
            metrics=self.rows,
            seeds=list(self.config.seeds),
            steps_per_second=self._steps_per_second(),
            stopped_by=stopped_by,
            folder=self.folder,
            trained=trained,
            trained_best=best,
        )


class _EvaluationStoppedError(Exception):
    """Ctrl-C during an evaluation."""
