"""Training: many seeds through the compiled loop, in chunks that are evaluated and kept."""

import dataclasses
import os
import threading
import time
from collections.abc import Iterable, Sequence
from pathlib import Path

import equinox as eqx
import jax
import numpy as np

from rtrrl.agents import Agent
from rtrrl.agents.monitoring import measured
from rtrrl.agents.registry import preset
from rtrrl.environments import AbstractEnvironment, HostEnvironment, make
from rtrrl.errors import NonFiniteError
from rtrrl.runs import checkpoints, serialization, storage
from rtrrl.runs.config import RunConfig, whole
from rtrrl.runs.run import Run, StopReason
from rtrrl.training.loop import RunnerState
from rtrrl.training.runners import Runner, make_runner, with_reset_statistics
from rtrrl.types import PyTree
from rtrrl.utils.progress import ProgressBar
from rtrrl.utils.signals import catch_sigint

SLICE_SECONDS = 0.5
"""How long the compiled loop runs before it looks up: for Ctrl-C, NaN and the progress bar."""

SAVE_SECONDS = 30.0
"""The most that a killed run loses, next to what is saved at every evaluation."""


@dataclasses.dataclass
class _Progressing:
    """What changes while a run goes on."""

    workers: Runner
    lives: list[RunnerState]
    step: int
    rows: list[dict]
    busy: float = 0.0
    """Seconds spent in the compiled loop, by the slowest worker."""
    lived: int = 0


def train(
    task: str | AbstractEnvironment | Agent,
    *,
    steps: int = 500_000,
    seeds: int | Sequence[int] = 5,
    out: str | Path | None = None,
    environment: AbstractEnvironment | None = None,
    evaluations: int = 50,
    episodes: int = 10,
    greedy: bool = False,
    patience: int | None = None,
    num_envs: int = 1,
    workers: int | None = None,
    overwrite: bool = False,
    progress: bool = False,
) -> Run:
    """Trains an agent (the default one, given a task) from one stream per seed.

    Seeds, and any settings that are arrays with one entry per seed, run side by side, spread
    over `workers` threads (default: the cores). Where Python steps the world the default is 1; with
    more, each seed's world is in a process of its own, and a script needs its main part inside
    `if __name__ == "__main__":`. With several `streams` each agent lives in as many copies of the
    world at once and learns from the mean of what they teach; `steps` are those of each.

    After every `steps/evaluations` steps each seed's frozen agent plays exactly `episodes` whole
    episodes; `run.best` is the highest of these scores, `run.final` the mean over the last tenth.
    With `patience`, training stops once no seed has improved for that many evaluations. With `out`
    everything needed to read, repeat and resume the run is written into that folder. Ctrl-C ends
    the run and keeps all of it.

    **Raises** `RtrrlError` for unusable arguments, `NonFiniteError` where NaN or infinity comes
    from the environment or grows in the agent (the last good checkpoint stays).

    >>> run = train("TMaze-3", steps=60, seeds=2, evaluations=3, episodes=2)
    >>> run.best.shape, len(run.metrics)
    ((2,), 6)
    """
    if isinstance(task, Agent):
        agent, environment = task, environment or make(task.task)
    else:
        environment = make(task) if isinstance(task, str) else task
        agent = preset("default", environment)
    chosen = tuple(seeds) if isinstance(seeds, Iterable) else range(whole("seeds", seeds))
    plan = RunConfig(
        agent=agent,
        environment=environment,
        steps=whole("steps", steps),
        seeds=tuple(whole("a seed", seed) for seed in chosen),
        evaluations=min(whole("evaluations", evaluations), steps),
        episodes=whole("episodes", episodes),
        greedy=greedy,
        patience=patience,
        num_envs=whole("num_envs", num_envs),
        workers=_workers(environment, len(chosen))
        if workers is None
        else whole("workers", workers),
    )
    with make_runner(plan) as workers_:
        lives = workers_.births()  # first: what cannot be born leaves no folder
        folder = None if out is None else storage.create(out, plan.config(), overwrite)
        state = _Progressing(workers_, lives, 0, [])
        _save(folder, state)
        return _train(plan, folder, state, progress)


def resume(
    folder: str | Path, *, environment: AbstractEnvironment | None = None, progress: bool = False
) -> Run:
    """Goes on with a run that was interrupted or killed, to the very bits it would have had.

    **Raises** `RunFolderError` where the folder holds no such run; nothing is overwritten then.
    """
    folder = Path(folder)
    config, meta = storage.open_for_resume(folder)
    plan = RunConfig.of(config, environment)
    with make_runner(plan) as workers:
        kept, _ = checkpoints.load(folder / storage.CHECKPOINT, workers.template(meta))
        rows = storage.rewind(folder, meta["step"])
        state = _Progressing(workers, workers.unpacked(kept), meta["step"], rows)
        return _train(plan, folder, state, progress)


def load_agents(
    folder: str | Path, environment: AbstractEnvironment | None = None
) -> tuple[RunConfig, PyTree, int]:
    """A run's plan, its agents' states (one leading axis over seeds) and their age in steps.

    **Raises** `RunFolderError` where the folder holds no run or a damaged one.
    """
    folder = Path(folder)
    plan = RunConfig.of(storage.load_run(folder).config, environment)
    meta = checkpoints.read_meta(folder / storage.CHECKPOINT)
    with make_runner(plan) as workers:
        kept, meta = checkpoints.load(folder / storage.CHECKPOINT, workers.template(meta))
        return plan, workers.agents(kept), meta["step"]


def _train(plan: RunConfig, folder: Path | None, state: _Progressing, shown: bool) -> Run:
    """The loop over slices and chunks, and the files around it."""
    title = f"{plan.environment.name} · {serialization.label(plan.agent, plan.environment)}"
    stopped_by = StopReason.ERROR
    try:
        with (
            catch_sigint() as interrupted,
            ProgressBar(title, plan.steps, state.step, shown) as bar,
        ):
            stopped_by = _live_on(plan, folder, state, bar, interrupted)
    finally:
        run = Run(
            config=plan.config(describe=folder is None),
            metrics=state.rows,
            seeds=list(plan.seeds),
            steps_per_second=state.lived * len(plan.seeds) * plan.num_envs / max(state.busy, 1e-9),
            stopped_by=stopped_by,
            folder=folder,
            states=None if stopped_by is StopReason.ERROR else _agents(state),
        )
        storage.save_result(run)
    return run


def _live_on(
    plan: RunConfig,
    folder: Path | None,
    state: _Progressing,
    bar: ProgressBar,
    interrupted: threading.Event,
) -> StopReason:
    """Lives, evaluates and saves until the budget, the patience or the user says stop."""
    # no step at all: compiles, so that the clock below measures living alone
    _lived(plan, state, 0)
    state.busy = 0.0
    bar.begin()
    size, saved = state.workers.first_slice, time.perf_counter()
    began = time.perf_counter()
    while state.step < plan.steps:
        # patience first: a run that is resumed where its patience ended must not go on
        if _out_of_patience(plan, state.rows):
            return StopReason.PATIENCE
        if interrupted.is_set():
            _save(folder, state)
            return StopReason.INTERRUPT
        boundary = plan.next_evaluation(state.step)
        count = min(size, boundary - state.step)
        took = _lived(plan, state, count)
        size = max(1, int(min(2 * size, count * SLICE_SECONDS / max(took, 1e-6))))
        bar.at(state.step)
        if state.step == boundary:
            rows = _measured(plan, state, time.perf_counter() - began)
            began = time.perf_counter()
            bar.evaluated(np.array([row["evaluation"] for row in rows]))
            state.rows += rows
            if folder is not None:
                storage.append_metrics(folder, rows)
        if state.step == boundary or time.perf_counter() - saved > SAVE_SECONDS:
            _save(folder, state)
            saved = time.perf_counter()
    return StopReason.BUDGET


def _lived(plan: RunConfig, state: _Progressing, count: int) -> float:
    """All seeds live `count` steps; the seconds that took."""
    start = time.perf_counter()
    state.lives = state.workers.advance(state.lives, count)
    took = time.perf_counter() - start
    state.step += count
    state.lived += count
    state.busy += took
    _check_finite(plan, state)
    return took


def _measured(plan: RunConfig, state: _Progressing, seconds: float) -> list[dict]:
    """One row of metrics per seed; the tallies start anew."""
    returns = state.workers.evaluations(state.lives, state.step)
    for seed, earned in zip(plan.seeds, returns, strict=True):
        if not np.isfinite(earned).all():
            raise NonFiniteError(
                f"{plan.environment.name} gave NaN or infinity as reward while seed {seed} was "
                f"evaluated at step {state.step}: mend the environment"
            )
    # over all streams of a seed
    tally = jax.tree.map(
        lambda *parts: np.concatenate(parts).reshape(len(plan.seeds), -1).sum(axis=1),
        *(lives.tally for lives in state.lives),
    )
    state.lives = with_reset_statistics(state.lives)
    with np.errstate(invalid="ignore", divide="ignore"):
        columns = {
            "evaluation": returns.mean(axis=1),
            "training_return": tally.returns / tally.episodes,
            "episodes": tally.episodes,
            "td_error_rms": np.sqrt(tally.squared_td_error / tally.steps),
            "entropy": tally.entropy / tally.steps,
        }
    shards = [measured(lives.agent) for lives in state.lives]
    columns |= {name: np.concatenate([shard[name] for shard in shards]) for name in shards[0]}
    return [
        {"step": state.step, "seed": seed, "seconds": round(seconds, 4)}
        | {name: column[i].item() for name, column in columns.items()}
        for i, seed in enumerate(plan.seeds)
    ]


def _check_finite(plan: RunConfig, state: _Progressing) -> None:
    """Stops at NaN and infinity, with the seed, the step and the name of what broke."""
    broken = np.concatenate([np.asarray(lives.broken) for lives in state.lives])
    broken = broken.reshape(len(plan.seeds), -1)  # of each stream; the first to break
    broken = np.where(broken < 0, np.inf, broken).min(axis=1)
    for seed, step in zip(plan.seeds, broken, strict=True):
        if step < np.inf:
            raise NonFiniteError(
                f"{plan.environment.name} gave NaN or infinity as reward or observation at step "
                f"{step:.0f} of seed {seed}: mend the environment; the last checkpoint is from "
                "before"
            )
    for part, lives in zip(state.workers.shards, state.lives, strict=True):
        for path, leaf in jax.tree_util.tree_leaves_with_path(lives.agent):
            if not eqx.is_inexact_array(leaf):
                continue
            bad = ~np.isfinite(np.asarray(leaf)).reshape(leaf.shape[0], -1).all(axis=1)
            if bad.any():
                seed = plan.seeds[part][int(bad.argmax())]
                raise NonFiniteError(
                    f"seed {seed} diverged: its {jax.tree_util.keystr(path)[1:]} is NaN or "
                    f"infinite by step {state.step}; lower the learning rate"
                )


def _out_of_patience(plan: RunConfig, rows: list[dict]) -> bool:
    if plan.patience is None:
        return False
    waits = []
    for seed in plan.seeds:
        scores = [row["evaluation"] for row in rows if row["seed"] == seed]
        waits.append(len(scores) - 1 - int(np.argmax(scores)) if scores else 0)
    return min(waits) >= plan.patience


def _agents(state: _Progressing) -> PyTree:
    kept, _ = state.workers.packed(state.lives)
    return state.workers.agents(kept)


def _workers(environment: AbstractEnvironment, seeds: int) -> int:
    """How many, unless told: a world on the host is seldom worth a process (decision 0008)."""
    return (
        1 if isinstance(environment, HostEnvironment) else min(os.cpu_count() or 1, max(1, seeds))
    )


def _save(folder: Path | None, state: _Progressing) -> None:
    if folder is not None:
        kept, meta = state.workers.packed(state.lives)
        checkpoints.save(folder / storage.CHECKPOINT, kept, {"step": state.step} | meta)
