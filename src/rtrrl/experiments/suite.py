"""Runs as data: each is trained once and then read from its folder."""

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from rtrrl.agents import Agent
from rtrrl.agents.monitoring import monitored
from rtrrl.agents.parts import set_path, with_parts
from rtrrl.agents.registry import make_agent
from rtrrl.runs import serialization, storage
from rtrrl.runs.run import Run, StopReason
from rtrrl.training.train import resume, train


@dataclasses.dataclass(frozen=True)
class Entry:
    """One agent on one task, and the score it should reach."""

    task: str
    agent: str
    steps: int
    seeds: Sequence[int]
    target: float | None = None
    needed: int = 0
    """The number of seeds whose final score should reach the target."""
    evaluations: int = 50
    episodes: int = 10
    changes: Mapping[str, float | int] = dataclasses.field(default_factory=dict)
    """Settings that differ from the named agent's, by dotted path."""
    parts: Mapping[str, str] = dataclasses.field(default_factory=dict)
    """Parts that differ from the named agent's, by their flag and name on the command line."""
    num_envs: int = 1
    variance: bool = False
    """Whether the variance of the updates is recorded."""

    def command(self) -> str:
        """The command line that repeats the run."""
        flags = [
            f"--{name.replace('_', '-')} {value}"
            for name in ("evaluations", "episodes", "num_envs")
            if (value := getattr(self, name)) != getattr(Entry, name)
        ]
        flags += ["--variance"] if self.variance else []
        flags += [f"--{flag} {name}" for flag, name in self.parts.items()]
        flags += [f"--agent.{path.replace('_', '-')} {x}" for path, x in self.changes.items()]
        plain = (
            f"rtrrl train {self.task} --agent {self.agent} --steps {self.steps} "
            f"--seeds {len(self.seeds)} --seed {self.seeds[0]}"
        )
        return " ".join([plain, *flags])

    def build(self) -> Agent:
        """The agent."""
        agent = with_parts(make_agent(self.agent, self.task), self.parts)
        for path, value in self.changes.items():
            agent = set_path(agent, path, value)
        return monitored(agent) if self.variance else agent

    def folder(self, root: Path) -> Path:
        """The folder of its run."""
        differences = [
            f"{name}-{value}" for name, value in (*self.changes.items(), *self.parts.items())
        ]
        differences += [f"envs-{self.num_envs}"] if self.num_envs > 1 else []
        differences += ["variance"] if self.variance else []
        return root / "-".join([self.task.replace("/", "-"), self.agent, *differences])

    def run(self, root: Path, progress: bool = True) -> Run:
        """Read the run if it is finished, resume it if it was interrupted, train it otherwise.

        A run with other steps, seeds or settings is replaced.
        """
        folder, agent = self.folder(root), self.build()
        if not self._matches(folder, agent):
            train(
                self.task,
                agent,
                steps=self.steps,
                seeds=self.seeds,
                evaluations=self.evaluations,
                episodes=self.episodes,
                num_envs=self.num_envs,
                out=folder,
                overwrite=True,
                progress=progress,
            )
        elif not storage.load_run(folder).finished:
            resume(folder, progress=progress)
        run = storage.load_run(folder)
        if run.stopped_by is StopReason.INTERRUPT:
            raise KeyboardInterrupt(f"{folder} is kept; start again to resume it")
        return run

    def load(self, root: Path) -> Run | None:
        """The run in its folder if it is finished or has diverged."""
        folder = self.folder(root)
        if not self._matches(folder, self.build()):
            return None
        run = storage.load_run(folder)
        return run if run.finished or run.stopped_by is StopReason.ERROR else None

    def _matches(self, folder: Path, agent: Agent) -> bool:
        """Whether `folder` holds a run of this entry."""
        if not (folder / storage.CHECKPOINT).exists():
            return False
        config = storage.load_run(folder).config
        wanted = {
            "steps": self.steps,
            "seeds": list(self.seeds),
            "evaluations": self.evaluations,
            "episodes": self.episodes,
            "num_envs": self.num_envs,
            "settings": serialization.to_dict(agent),
        }
        return {name: config.get(name) for name in wanted} == wanted


Results = Sequence[tuple[Entry, Run]]

COLUMNS = ("task", "agent", "steps", "seeds", "best", "final", "final of each seed")


def table_row(entry: Entry, run: Run) -> list[str]:
    """One row of a table with `COLUMNS`: medians over seeds, and every seed's final score."""
    return [
        entry.task,
        run.config["agent"],
        f"{entry.steps:,}",
        str(len(entry.seeds)),
        format_score(np.median(run.best)),
        format_score(np.median(run.final)),
        format_scores(run.final),
    ]


def format_score(score: float) -> str:
    """A score in two or three significant digits."""
    return f"{score:.0f}" if abs(score) >= 10 else f"{round(score, 2) + 0.0:.2f}"


def format_scores(scores: np.ndarray) -> str:
    """The scores of all seeds, the highest first."""
    return " ".join(format_score(score) for score in np.sort(scores)[::-1])


def markdown_table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table in Markdown."""
    lines = [columns, ["---"] * len(columns), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines) + "\n"


def commands(entries: Sequence[Entry]) -> str:
    """The commands of all entries, each once, indented as a Markdown code block."""
    return "\n".join(dict.fromkeys(f"    {entry.command()}" for entry in entries))
