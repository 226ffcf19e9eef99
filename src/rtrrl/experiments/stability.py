"""What makes streaming recurrent learning keep what it learns: the targets, and each lever alone.

    python -m rtrrl.experiments.stability                  # runs what is missing, writes the page
    python -m rtrrl.experiments.stability targets --tasks Acrobot       # runs these alone
    python -m rtrrl.experiments.stability levers --only "λ = 0.9" "ObGD"
    python -m rtrrl.experiments.stability page             # runs nothing, writes the page

A run is done once and lies in runs/stability, whence it is read or goes on if it was interrupted.
docs/stability.md is written by hand but for what stands between its markers. A part alone leaves
it as it is: what has not been run on this machine would be struck out.
"""

import argparse
import dataclasses
import itertools
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Float

from rtrrl.checkpoints import write_atomic
from rtrrl.errors import NonFiniteError
from rtrrl.experiments.levers import LEVERS, PAPER_LEVERS, REFERENCE, STABLE, Lever
from rtrrl.experiments.statistics import mean_interval, share_interval
from rtrrl.experiments.suite import Entry, markdown, shown
from rtrrl.plots import forest, learning_curve
from rtrrl.results import Run, Stop

FOLDER = Path("runs/stability")
PAGE = Path("docs/stability.md")
FIGURES = Path("docs/figures")

REPORTED = range(10)
TUNED = range(100, 108)
"""Seeds on which settings were chosen: none of them is reported as reaching a target."""
NOT_RUN = "–"
KEPT = 0.8
"""A seed that ends below this part of its peak, counted from chance, has collapsed."""


@dataclasses.dataclass(frozen=True)
class Target:
    """The final score that a share of seeds should reach."""

    task: str
    steps: int
    score: float
    share: float
    chance: float
    """What the random agent scores: what a collapse falls towards."""
    continuous: bool = False
    """Whether actions are numbers."""
    seeds: Sequence[int] = REPORTED
    evaluations: int = 50
    episodes: int = 20

    def entry(self, lever: Lever) -> Entry:
        """The run of an agent."""
        return Entry(
            self.task,
            lever.agent,
            self.steps,
            self.seeds,
            evaluations=self.evaluations,
            episodes=self.episodes,
            changes=lever.changes,
            parts=lever.parts,
        )


MUJOCO = {"continuous": True, "seeds": range(5), "evaluations": 30, "episodes": 3}
TARGETS = (
    Target("MemoryChain-16", 500_000, 0.97, 0.9, 0.0),
    Target("MemoryChain-32", 500_000, 0.97, 0.9, 0.0),
    Target("MemoryChain-64", 1_000_000, 0.97, 0.9, 0.0),
    Target("MemoryChain-128", 2_000_000, 0.95, 0.8, 0.0),
    Target("MemoryChain-256", 3_000_000, 0.9, 0.6, 0.0),
    Target("CartPole-pos", 2_000_000, 475.0, 0.8, 22.0),
    Target("CartPole-vel", 2_000_000, 475.0, 0.8, 22.0),
    Target("Acrobot", 100_000, -100.0, 0.9, -500.0),
    Target("RepeatPreviousEasy", 2_000_000, 0.9, 0.8, -0.5),
    Target("RepeatFirstEasy", 2_000_000, 0.9, 0.8, -0.5),
    Target("DeepSea-16", 1_000_000, 0.9, 0.8, 0.0),
    Target("MountainCarContinuous-pos", 1_000_000, 80.0, 0.6, -100.0, continuous=True),
    Target("gymnasium/HalfCheetah-v5-pos", 3_000_000, 2400.0, 0.5, -350.0, **MUJOCO),
    Target("gymnasium/Hopper-v5-pos", 3_000_000, 1300.0, 0.5, 15.0, **MUJOCO),
)

TRIED = {
    "MemoryChain-128": 1_000_000,
    "CartPole-pos": 1_000_000,
    "Acrobot": 100_000,
    "MountainCarContinuous-pos": 1_000_000,
    "DeepSea-16": 300_000,
}
TRIALS = tuple(
    dataclasses.replace(target, steps=TRIED[target.task], seeds=TUNED, episodes=10)
    for target in TARGETS
    if target.task in TRIED
)
"""What levers are tried on: memory, balance, little time, and two rewards that are hard to find."""

Done = dict[tuple[str, str], Run]
"""Runs by the lever's name and the task."""


def main() -> None:
    """Runs what is asked for and missing; after all parts, writes the page."""
    known = list(everything())
    tasks = list(dict.fromkeys(target.task for *_, target in known))
    names = list(dict.fromkeys(lever.name for _, lever, _ in known))
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("part", nargs="?", choices=(*PARTS, "page"))
    parser.add_argument(
        "--tasks", nargs="+", choices=tasks, default=tasks, metavar="TASK", help="these tasks alone"
    )
    parser.add_argument(
        "--only",
        nargs="+",
        choices=names,
        default=names,
        metavar="NAME",
        help="these agents or levers alone",
    )
    asked = parser.parse_args()
    for part, lever, target in known:
        if asked.part in (None, part) and target.task in asked.tasks and lever.name in asked.only:
            settle(target.entry(lever), FOLDER / part)
    if asked.part in (None, "page"):
        write(ended())
        print(f"written: {PAGE} and {FIGURES}/stability-*.png")


PARTS: dict[str, tuple[Sequence[Lever], Sequence[Target]]] = {
    "targets": ((REFERENCE,), TARGETS),
    "paper": (PAPER_LEVERS, TARGETS),
    "levers": ((REFERENCE, *LEVERS), TRIALS),
}


def everything() -> Iterator[tuple[str, Lever, Target]]:
    """Every run there is, by the part that it belongs to."""
    for part, (levers, targets) in PARTS.items():
        for lever, target in itertools.product(levers, targets):
            if lever.continuous in (None, target.continuous):
                yield part, lever, target


def settle(entry: Entry, folder: Path) -> None:
    """Runs what has not ended; a setting that diverges has said what there is to know."""
    if entry.ended(folder) is None:
        try:
            entry.run(folder)
        except NonFiniteError as error:
            print(f"{entry.task}: {error}")


def ended() -> dict[str, Done]:
    """The runs of every part that have ended."""
    done: dict[str, Done] = {part: {} for part in PARTS}
    for part, lever, target in everything():
        if (run := target.entry(lever).ended(FOLDER / part)) is not None:
            done[part][lever.name, target.task] = run
    return done


def write(done: dict[str, Done]) -> None:
    """Puts tables into the page, between its markers, and draws its figures."""
    tables = {
        "targets": target_table(REFERENCE, done["targets"]),
        "paper": collapse_table(done["paper"]),
        "stable": target_table(STABLE, done["paper"]),
        "levers": lever_table(done["levers"]),
    }
    page = PAGE.read_text()
    for name, table in tables.items():
        page, count = re.subn(
            rf"(<!-- {name} -->\n).*?(<!-- end -->)",
            lambda found, table=table: f"{found[1]}\n{table}\n{found[2]}",
            page,
            flags=re.DOTALL,
        )
        assert count == 1, f"{PAGE} lacks the marker <!-- {name} -->"
    write_atomic(PAGE, page.encode())
    curves = [done["targets"][key] for key in done["targets"]]
    learning_curve(curves, FIGURES / "stability-default.png")
    names = [lever.name for lever in (REFERENCE, *LEVERS)]
    forest(_intervals(names, done["levers"]), FIGURES / "stability-levers.png")


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
            cells.append(
                unscored(run)
                if run is None or diverged(run)
                else f"{shown(np.median(run.best))} → {shown(np.median(run.final))}, "
                f"{collapsed(target, run)} of {len(run.seeds)}"
            )
        rows.append(cells)
    return markdown(("task", *(lever.name for lever in levers)), rows)


def diverged(run: Run) -> bool:
    """Whether it broke off: what it scored before that is no result."""
    return run.stopped_by is Stop.ERROR


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


def outcome(trial: Target, run: Run | None) -> str:
    """A mean with its interval, and how many seeds collapsed."""
    if run is None or diverged(run):
        return unscored(run)
    mean = mean_interval(run.final)
    lost = collapsed(trial, run)
    interval = f"{shown(mean.estimate)} [{shown(mean.low)}, {shown(mean.high)}]"
    return f"{interval}, {lost} lost" if lost else interval


def _intervals(names: Sequence[str], done: Done) -> dict[str, dict[str, tuple]]:
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


if __name__ == "__main__":
    main()
