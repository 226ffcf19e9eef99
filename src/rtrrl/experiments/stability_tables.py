"""The tables of the stability study, from its finished runs."""

from collections.abc import Callable
from typing import TypeVar

import numpy as np
from jaxtyping import Float

from rtrrl.experiments.statistics import Interval, mean_interval, proportion_interval
from rtrrl.experiments.suite import format_score, format_scores, markdown_table
from rtrrl.experiments.targets import MISSED, TARGETS, TRIALS, Target
from rtrrl.experiments.variants import CANDIDATES, PAPER_VARIANTS, REFERENCE, VARIANTS, Variant
from rtrrl.runs.run import Run, StopReason

NOT_RUN = "–"
RETAINED = 0.8
"""A seed whose final gain over chance is below this part of its peak's has collapsed."""

Described = TypeVar("Described")
Runs = dict[tuple[str, str], Run]
"""By the variant's name and the task."""


def target_table(variant: Variant, runs: Runs) -> str:
    """One agent on every task: how many seeds reach the target, and how many collapse."""
    columns = (
        *("task", "steps", "target", "seeds that reach it", "95 %", "", "best", "final"),
        *("final of each seed", "collapsed"),
    )
    rows = []
    for target in TARGETS:
        result = table_cell(runs, variant, target, _target_cells)
        results = [result] * 7 if isinstance(result, str) else result
        wanted = f"≥ {target.score:g} in {target.proportion:.0%}"
        rows.append([target.task, f"{target.steps:,}", wanted, *results])
    return markdown_table(columns, rows)


def _target_cells(target: Target, run: Run) -> list[str]:
    reached, seeds = _reached(target, run), len(run.seeds)
    proportion = proportion_interval(reached, seeds)
    return [
        f"{reached} of {seeds}",
        f"{proportion.low:.0%} … {proportion.high:.0%}",
        "met" if proportion.estimate >= target.proportion else "**missed**",
        format_score(np.median(run.best)),
        format_score(np.median(run.final)),
        format_scores(run.final),
        f"{collapsed(target, run)} of {seeds}",
    ]


def paper_table(runs: Runs) -> str:
    """The variants of the paper's agent: median best and final score, and collapsed seeds."""

    def best_to_final(target: Target, run: Run) -> str:
        ends = f"{format_score(np.median(run.best))} → {format_score(np.median(run.final))}"
        return f"{ends}, {collapsed(target, run)} of {len(run.seeds)}"

    variants = [
        variant for variant in PAPER_VARIANTS if any(name == variant.name for name, _ in runs)
    ]
    rows = [
        [target.task, *(table_cell(runs, variant, target, best_to_final) for variant in variants)]
        for target in TARGETS
    ]
    return markdown_table(("task", *(variant.name for variant in variants)), rows)


def variant_table(runs: Runs) -> str:
    """Every variant on every trial: mean final score with its interval, and collapsed seeds."""
    rows = []
    for variant in (REFERENCE, *VARIANTS):
        cells = [table_cell(runs, variant, trial, mean_and_collapsed) for trial in TRIALS]
        if set(cells) != {NOT_RUN}:
            rows.append([variant.name, variant.expectation, *cells])
    tasks = (trial.task for trial in TRIALS)
    return markdown_table(("change", "expected effect", *tasks), rows)


def missed_table(runs: Runs) -> str:
    """The candidates on the missed targets: how many seeds reach the target, and the median."""

    def reached(target: Target, run: Run) -> str:
        median = format_score(np.median(run.final))
        return f"{_reached(target, run)} of {len(run.seeds)}, median {median}"

    rows = [
        [variant.name, *(table_cell(runs, variant, target, reached) for target in MISSED)]
        for variant in (REFERENCE, *CANDIDATES)
    ]
    return markdown_table(("", *(f"{each.task}, {each.steps:,} steps" for each in MISSED)), rows)


def variant_intervals(runs: Runs) -> dict[str, dict[str, Interval]]:
    """Mean final score with its interval, by task and variant."""
    return {
        trial.task: {
            variant.name: mean_interval(run.final)
            for variant in (REFERENCE, *VARIANTS)
            if (run := runs.get((variant.name, trial.task))) is not None and not diverged(run)
        }
        for trial in TRIALS
    }


def table_cell(
    runs: Runs, variant: Variant, target: Target, describe: Callable[[Target, Run], Described]
) -> Described | str:
    """The description of a run, or why there is none: a diverged run has no result."""
    run = runs.get((variant.name, target.task))
    if run is None:
        return NOT_RUN
    return "diverged" if diverged(run) else describe(target, run)


def diverged(run: Run) -> bool:
    """Whether it stopped at NaN or infinity."""
    return run.stopped_by is StopReason.ERROR


def collapsed(target: Target, run: Run) -> int:
    """The number of seeds whose final gain over chance is below `RETAINED` of their peak's.

    Counted are seeds whose peak gained at least half of what the target requires.
    """
    peak, final = peaks(run) - target.chance, run.final - target.chance
    learned = peak >= (target.score - target.chance) / 2
    return int(np.sum(learned & (final < RETAINED * peak)))


def peaks(run: Run) -> Float[np.ndarray, " seeds"]:
    """Every seed's highest mean over a tenth of its evaluations in a row, as many as in `final`.

    The single best of fifty evaluations would overestimate: on a memory chain that of random
    guesses reaches half of the maximum.
    """
    places = range(len(run.seeds))
    curves = np.array([run.column("evaluation", index=i)[1] for i in places], np.float64)
    length = max(curves.shape[1] // 10, min(3, curves.shape[1]))
    windows = np.lib.stride_tricks.sliding_window_view(curves, length, axis=1)
    return np.nanmax(np.nanmean(windows, axis=2), axis=1)


def mean_and_collapsed(target: Target, run: Run) -> str:
    """The mean final score with its interval, and the number of collapsed seeds if any."""
    mean, low, high = (format_score(value) for value in mean_interval(run.final))
    count = collapsed(target, run)
    return f"{mean} [{low}, {high}]" + (f", {count} collapsed" if count else "")


def _reached(target: Target, run: Run) -> int:
    return int(np.sum(run.final >= target.score))
