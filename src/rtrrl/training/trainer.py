"""The loop of a run: compiled steps, evaluations, callbacks, files, Ctrl-C, NaN."""

import dataclasses
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import equinox as eqx
import jax
import numpy as np
from jaxtyping import Shaped

from rtrrl.agents.monitoring import measured
from rtrrl.errors import NonFiniteError
from rtrrl.runs import checkpoints, storage
from rtrrl.runs.config import RunConfig
from rtrrl.runs.run import Run, StopReason, TrainedAgents
from rtrrl.training.callbacks import Callback
from rtrrl.training.loop import RunnerState
from rtrrl.training.runners import Runner, reset_statistics
from rtrrl.utils.signals import catch_sigint

SLICE_SECONDS = 0.5
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
    seconds: float = 0.0
    """The wall time of all steps, without evaluations."""
    steps_done: int = 0
    """The steps of each seed in those seconds."""

    def run(self) -> Run:
        """Train until the budget, the patience, a callback or the user ends it."""
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
            storage.save_result(run)
            for callback in started:
                callback.on_end(run)
        return run

    def save(self) -> None:
        """Write the checkpoint, if the run has a folder."""
        if self.folder is not None:
            saved, meta = self.runner.to_saved(self.states)
            checkpoints.save(self.folder / storage.CHECKPOINT, saved, {"step": self.step} | meta)

    def _loop(self, interrupted: threading.Event) -> StopReason:
        # zero steps: compile the loop before the clock starts
        self._advance(0)
        self.seconds = 0.0
        size, saved, started = self.runner.first_slice, time.perf_counter(), time.perf_counter()
        while self.step < self.config.steps:
            # checked before the first step, for a run that is resumed where its patience ended
            if self._out_of_patience():
                return StopReason.PATIENCE
            if interrupted.is_set():
                self.save()
                return StopReason.INTERRUPT
            evaluation = self.config.next_evaluation(self.step)
            count = min(size, evaluation - self.step)
            took = self._advance(count)
            size = max(1, int(min(2 * size, count * SLICE_SECONDS / max(took, 1e-6))))
            speed = {"step": self.step, "steps_per_second": self._steps_per_second()}
            stop = self._call("on_metrics", speed | self._statistics())
            if self.step == evaluation:
                rows = self._evaluate(time.perf_counter() - started)
                started = time.perf_counter()
                self.rows += rows
                if self.folder is not None:
                    storage.append_metrics(self.folder, rows)
                stop |= self._call("on_evaluation", rows)
            if self.step == evaluation or stop or time.perf_counter() - saved > SAVE_SECONDS:
                self.save()
                saved = time.perf_counter()
            if stop and self.step < self.config.steps:
                return StopReason.CALLBACK
        return StopReason.BUDGET

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

    def _evaluate(self, seconds: float) -> list[dict]:
        """One row of metrics per seed; resets the statistics."""
        returns = self.runner.evaluate(self.states, self.step)
        for seed, each in zip(self.config.seeds, returns, strict=True):
            if not np.isfinite(each).all():
                raise NonFiniteError(
                    f"{self.config.environment.name} gave NaN or infinity as reward while seed "
                    f"{seed} was evaluated at step {self.step}: fix the environment"
                )
        columns = {"evaluation": returns.mean(axis=1)} | self._statistics()
        self.states = reset_statistics(self.states)
        shards = [measured(state.agent_state) for state in self.states]
        columns |= {name: np.concatenate([shard[name] for shard in shards]) for name in shards[0]}
        return [
            {"step": self.step, "seed": seed, "seconds": round(seconds, 4)}
            | {name: column[i].item() for name, column in columns.items()}
            for i, seed in enumerate(self.config.seeds)
        ]

    def _check_finite(self) -> None:
        """**Raises** `NonFiniteError` with the seed, the step and the name of the array."""
        config = self.config
        steps = np.concatenate([np.asarray(state.nonfinite_step) for state in self.states])
        steps = steps.reshape(len(config.seeds), -1)  # of each environment
        steps = np.where(steps < 0, np.inf, steps).min(axis=1)
        for seed, step in zip(config.seeds, steps, strict=True):
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
                    seed = config.seeds[shard][int(bad.argmax())]
                    raise NonFiniteError(
                        f"seed {seed} diverged: its {jax.tree_util.keystr(path)[1:]} is NaN or "
                        f"infinite by step {self.step}; lower the learning rate"
                    )

    def _out_of_patience(self) -> bool:
        if self.config.patience is None:
            return False
        waits = []
        for seed in self.config.seeds:
            scores = [row["evaluation"] for row in self.rows if row["seed"] == seed]
            waits.append(len(scores) - 1 - int(np.argmax(scores)) if scores else 0)
        return min(waits) >= self.config.patience

    def _steps_per_second(self) -> float:
        steps = self.steps_done * len(self.config.seeds) * self.config.num_envs
        return steps / max(self.seconds, 1e-9)

    def _result(self, stopped_by: StopReason) -> Run:
        trained = None
        if stopped_by is not StopReason.ERROR:
            saved, _ = self.runner.to_saved(self.states)
            states = self.runner.agent_states(saved)
            trained = TrainedAgents(config=self.config, states=states, step=self.step)
        return Run(
            config=self.config.to_dict(describe=self.folder is None),
            metrics=self.rows,
            seeds=list(self.config.seeds),
            steps_per_second=self._steps_per_second(),
            stopped_by=stopped_by,
            folder=self.folder,
            trained=trained,
        )
