"""What every experiment is made of: named runs that are done once and read many times."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from rtrrl import runs, settings
from rtrrl.runs import Run
from rtrrl.training import resume, train


@dataclasses.dataclass(frozen=True)
class Entry:
    """One agent on one task, and the score it should reach."""

    task: str
    agent: str
    steps: int
    seeds: Sequence[int]
    target: float | None = None
    needed: int = 0
    """How many seeds' final score should reach the target."""

    def command(self) -> str:
        """The command line that repeats it."""
        return (
            f"rtrrl train {self.task} --agent {self.agent} --steps {self.steps} "
            f"--seeds {len(self.seeds)} --seed {self.seeds[0]}"
        )

    def folder(self, root: Path) -> Path:
        """Where its run lives."""
        return root / f"{self.task}-{self.agent}"

    def run(self, root: Path, progress: bool = True) -> Run:
        """The run: read if it is finished, resumed if it was begun, else trained."""
        folder = self.folder(root)
        if not (folder / runs.CHECKPOINT).exists():
            agent = settings.preset(self.agent, self.task)
            train(agent, steps=self.steps, seeds=self.seeds, out=folder, progress=progress)
        elif not runs.load_run(folder).finished:
            resume(folder, progress=progress)
        return runs.load_run(folder)


COLUMNS = ("task", "agent", "steps", "seeds", "best", "final", "final of each seed")


def row(entry: Entry, run: Run) -> list[str]:
    """One line of a table: medians over seeds, and every seed's final score."""
    each = " ".join(f"{value:.2f}" for value in np.sort(run.final)[::-1])
    return [
        entry.task,
        entry.agent,
        f"{entry.steps:,}",
        str(len(entry.seeds)),
        f"{np.median(run.best):.2f}",
        f"{np.median(run.final):.2f}",
        each,
    ]


def markdown(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table in Markdown."""
    lines = [columns, ["---"] * len(columns), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines) + "\n"
