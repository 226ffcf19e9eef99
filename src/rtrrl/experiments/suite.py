"""What every experiment is made of: named runs that are done once and read many times."""

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TypeVar

import equinox as eqx
import numpy as np

from rtrrl.agents import Agent
from rtrrl.agents.monitoring import monitored
from rtrrl.agents.parts import chosen
from rtrrl.agents.registry import preset
from rtrrl.runs import serialization, storage
from rtrrl.runs.run import Run, StopReason
from rtrrl.training.train import resume, train

Module = TypeVar("Module", bound=eqx.Module)


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
        """The command line that repeats it."""
        parts = [f"--{flag} {name}" for flag, name in self.parts.items()]
        flags = [f"--agent.{path.replace('_', '-')} {self.changes[path]}" for path in self.changes]
        plain = (
            f"rtrrl train {self.task} --agent {self.agent} --steps {self.steps} "
            f"--seeds {len(self.seeds)} --seed {self.seeds[0]}"
        )
        measured = [
            f"--{name} {getattr(self, name)}"
            for name in ("evaluations", "episodes")
            if getattr(self, name) != getattr(Entry, name)
        ]
        num_envs = [f"--num-envs {self.num_envs}"] if self.num_envs > 1 else []
        variance = ["--variance"] if self.variance else []
        return " ".join([plain, *measured, *num_envs, *variance, *parts, *flags])

    def build(self) -> Agent:
        """The agent."""
        agent = chosen(preset(self.agent, self.task), self.parts)
        for path, value in self.changes.items():
            agent = _changed(agent, path.split("."), value)
        return monitored(agent) if self.variance else agent

    def folder(self, root: Path) -> Path:
        """Where its run lives."""
        changes = [f"{path}-{value}" for path, value in self.changes.items()]
        changes += [f"{flag}-{name}" for flag, name in self.parts.items()]
        changes += [f"envs-{self.num_envs}"] if self.num_envs > 1 else []
        changes += ["variance"] if self.variance else []
        return root / "-".join([self.task.replace("/", "-"), self.agent, *changes])

    def run(self, root: Path, progress: bool = True) -> Run:
        """The run: read if it is finished, resumed if it was begun, else trained.

        A run of other steps, seeds or settings is trained anew.
        """
        folder, agent = self.folder(root), self.build()
        if not self._fits(folder, agent):
            train(
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
            raise KeyboardInterrupt(f"{folder} is kept and goes on when this is started again")
        return run

    def ended(self, root: Path) -> Run | None:
        """The run, if it has come to its end or has diverged; nothing is run."""
        folder = self.folder(root)
        if not self._fits(folder, self.build()):
            return None
        run = storage.load_run(folder)
        return run if run.finished or run.stopped_by is StopReason.ERROR else None

    def _fits(self, folder: Path, agent: Agent) -> bool:
        """Whether what lies in `folder` is a run of this very entry."""
        if not (folder / storage.CHECKPOINT).exists():
            return False
        config = {"num_envs": 1} | storage.load_run(folder).config  # older runs do not say
        wanted = {
            "steps": self.steps,
            "seeds": list(self.seeds),
            "evaluations": self.evaluations,
            "episodes": self.episodes,
            "num_envs": self.num_envs,
            "settings": serialization.to_dict(agent),
        }
        return {name: config.get(name) for name in wanted} == wanted


def _changed(module: Module, path: Sequence[str], value: float | int) -> Module:
    """With another value of one setting, static or not."""
    field, *inner = path
    new = _changed(getattr(module, field), inner, value) if inner else value
    return dataclasses.replace(module, **{field: new})


COLUMNS = ("task", "agent", "steps", "seeds", "best", "final", "final of each seed")


def row(entry: Entry, run: Run) -> list[str]:
    """One line of a table: medians over seeds, and every seed's final score."""
    each = " ".join(shown(value) for value in np.sort(run.final)[::-1])
    return [
        entry.task,
        run.config["agent"],
        f"{entry.steps:,}",
        str(len(entry.seeds)),
        shown(np.median(run.best)),
        shown(np.median(run.final)),
        each,
    ]


def shown(score: float) -> str:
    """A score in as many digits as tell something."""
    return f"{score:.0f}" if abs(score) >= 10 else f"{round(score, 2) + 0.0:.2f}"


def markdown(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table in Markdown."""
    lines = [columns, ["---"] * len(columns), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines) + "\n"
