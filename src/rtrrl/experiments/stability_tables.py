"""The tables of the stability study, of runs that have ended."""

import functools
from collections.abc import Callable, Sequence

import numpy as np
from jaxtyping import Float

from rtrrl.experiments.levers import ATTEMPTS, LEVERS, PAPER_LEVERS, REFERENCE, Lever
from rtrrl.experiments.statistics import mean_interval, share_interval
from rtrrl.experiments.suite import markdown, shown
from rtrrl.experiments.targets import ATTEMPTED, TARGETS, TRIALS, Target
from rtrrl.runs.run import Run, StopReason

NOT_RUN = "–"
KEPT = 0.8
"""A seed that ends below this part of its peak, counted from chance, has collapsed."""

Done = dict[tuple[str, str], Run]
"""Runs by the lever's name and the task."""


def target_table(lever: Lever, done: Done) -> str:
    """One agent on every task: how many seeds reach the target, and how many collapse."""
    columns = ("task", "steps", "target", "seeds that reach it", "95 %", "", "best", "final")
    rows = []
    for target in TARGETS:
        run = done.get((lever.name, target.task))
        wanted = f"≥ {target.score:g} in {target.share:.0%}"
        if run is None or diverged(run):
            rows.append([target.task, f"{target.steps:,}", wanted, *[unscored(run)] * 7])
            continue
        reached = int(np.sum(run.final >= target.score))
        share = share_interval(reached, len(run.seeds))
        rows.append(
            [
                target.task,
                f"{target.steps:,}",
                wanted,
                f"{reached} of {len(run.seeds)}",
                f"{share.low:.0%} … {share.high:.0%}",
                "met" if share.estimate >= target.share else "**missed**",
                shown(np.median(run.best)),
                shown(np.median(run.final)),
                " ".join(shown(value) for value in np.sort(run.final)[::-1]),
                f"{collapsed(target, run)} of {len(run.seeds)}",
            ]
        )
    return markdown((*columns, "final of each seed", "collapsed"), rows)


def collapse_table(done: Done) -> str:
    """The paper's agent and its siblings: median best and final, and the share that collapses."""
    levers = [lever for lever in PAPER_LEVERS if any(name == lever.name for name, _ in done)]
    rows = []
    for target in TARGETS:
        cells = [target.task]
        for lever in levers:
            run = done.get((lever.name, target.task))
            cells.append(scored(run, functools.partial(_best_to_final, target)))
        rows.append(cells)
    return markdown(("task", *(lever.name for lever in levers)), rows)


def diverged(run: Run) -> bool:
    """Whether it broke off: what it scored before that is no result."""
    return run.stopped_by is StopReason.ERROR


def unscored(run: Run | None) -> str:
    """What stands in the place of a score."""
    return NOT_RUN if run is None else "diverged"


def collapsed(target: Target, run: Run) -> int:
    """How many seeds ended below `KEPT` of what they had gained over chance at their peak.

    Of those that had gained half of what the target asks for: there has to be something to lose.
    """
    gained, kept = peaks(run) - target.chance, run.final - target.chance
    learnt = gained >= (target.score - target.chance) / 2
    return int(np.sum(learnt & (kept < KEPT * gained)))


def peaks(run: Run) -> Float[np.ndarray, " seeds"]:
    """Every seed's highest mean over a tenth of its evaluations in a row, as long as the final's.

    The highest of fifty single evaluations would be half of what a memory chain can give, for an
    agent that only guesses: it would be said to have lost what it never had.
    """
    curves = np.array([run.evaluations(seed)[1] for seed in run.seeds], np.float64)
    length = max(curves.shape[1] // 10, min(3, curves.shape[1]))
    windows = np.lib.stride_tricks.sliding_window_view(curves, length, axis=1)
    return np.nanmax(np.nanmean(windows, axis=2), axis=1)


def lever_table(done: Done) -> str:
    """Every lever on every trial: mean final score with its interval, and collapses."""
    tasks = [trial.task for trial in TRIALS]
    rows = []
    for lever in (REFERENCE, *LEVERS):
        outcomes = [outcome(trial, done.get((lever.name, trial.task))) for trial in TRIALS]
        if set(outcomes) != {NOT_RUN}:
            rows.append([lever.name, lever.why, *outcomes])
    return markdown(("lever", "in the hope of", *tasks), rows)


def attempts_table(done: Done) -> str:
    """What was tried where the default misses: how many seeds reach the target all the same."""
    rows = []
    for lever in (REFERENCE, *ATTEMPTS):
        cells = [lever.name]
        for target in ATTEMPTED:
            run = done.get((lever.name, target.task))
            cells.append(scored(run, functools.partial(_reached, target)))
        rows.append(cells)
    return markdown(("", *(f"{each.task}, {each.steps:,} steps" for each in ATTEMPTED)), rows)


def outcome(trial: Target, run: Run | None) -> str:
    """A mean with its interval, and how many seeds collapsed."""
    return scored(run, functools.partial(_mean_and_lost, trial))


def scored(run: Run | None, score: Callable[[Run], str]) -> str:
    """A run's score, or what stands in its place."""
    return unscored(run) if run is None or diverged(run) else score(run)


def _best_to_final(target: Target, run: Run) -> str:
    ends = f"{shown(np.median(run.best))} → {shown(np.median(run.final))}"
    return f"{ends}, {collapsed(target, run)} of {len(run.seeds)}"


def _reached(target: Target, run: Run) -> str:
    reached = np.sum(run.final >= target.score)
    return f"{reached} of {len(run.seeds)}, median {shown(np.median(run.final))}"


def _mean_and_lost(trial: Target, run: Run) -> str:
    mean = mean_interval(run.final)
    lost = collapsed(trial, run)
    interval = f"{shown(mean.estimate)} [{shown(mean.low)}, {shown(mean.high)}]"
    return f"{interval}, {lost} lost" if lost else interval


def lever_intervals(names: Sequence[str], done: Done) -> dict[str, dict[str, tuple]]:
    """By task and lever: estimate, low, high."""
    known = {key: run for key, run in done.items() if not diverged(run)}
    return {
        trial.task: {
            name: mean_interval(known[name, trial.task].final)
            for name in names
            if (name, trial.task) in known
        }
        for trial in TRIALS
    }
