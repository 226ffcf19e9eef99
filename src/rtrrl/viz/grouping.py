"""Which seeds of which runs make up a curve, and what the curve is called."""

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float, Int

from rtrrl.errors import RtrrlError, UnknownNameError
from rtrrl.runs.run import Run, Score, score
from rtrrl.runs.serialization import short_name, shown


class Seed(NamedTuple):
    """One seed of a run, by its place among the run's seeds."""

    run: Run
    place: int

    def column(self, name: str) -> tuple[list[int], list[float | None]]:
        """The steps at which it was evaluated, and the metric `name` there."""
        return self.run.column(name, index=self.place)

    def score(self) -> Score:
        """Its best and final evaluation."""
        return score(*self.column("evaluation"), self.run.config["steps"])

    def own_settings(self) -> dict[str, float]:
        """The settings that differ among the seeds of its run, by their path in the agent."""
        return {path: values[self.place] for path, values in self.run.per_seed.items()}

    def settings(self) -> dict[str, Any]:
        """All entries of the run's config by dotted path, those of the agent below `agent`."""
        agents = ("settings", "per_seed")
        config = {name: value for name, value in self.run.config.items() if name not in agents}
        own = {f"agent.{path}": value for path, value in self.own_settings().items()}
        agent = _flat(self.run.config.get("settings", {}), "agent.")
        return _flat(config) | agent | own | {"seed": self.run.seeds[self.place]}


class Curve(NamedTuple):
    """Seeds that are drawn as one curve."""

    label: str
    seeds: list[Seed]

    def values(
        self, column: str, above: float = -math.inf
    ) -> tuple[Int[np.ndarray, " steps"], Float[np.ndarray, "steps seeds"]]:
        """Steps at which any seed has a finite value > `above`, and each seed's there (NaN: none).

        Between its own evaluations a seed has the interpolated value.
        """
        columns = [np.array(seed.column(column), np.float64) for seed in self.seeds]
        steps = np.unique(np.concatenate([at for at, _ in columns]))
        values = np.full((len(steps), len(columns)), np.nan)
        for index, (at, own) in enumerate(columns):
            if len(at):
                own = np.where((above < own) & (own < math.inf), own, math.nan)
                values[:, index] = np.interp(steps, at, own, left=math.nan, right=math.nan)
        any_finite = np.isfinite(values).any(axis=1)
        return steps[any_finite].astype(int), values[any_finite]


def group(
    runs: Sequence[Run],
    names: Sequence[str],
    labels: str | Sequence[str] | None = None,
    by: str | None = None,
) -> dict[str, list[Curve]]:
    """The curves of every task: one for all seeds of the task that have the same label.

    Labels are `labels`, one per run; else the values of the setting `by`, numbers in ascending
    order; else `names`, with the run's folder where two runs of a task share a name. Unless given
    by `by`, they include the settings that differ among the seeds of a run.

    **Raises** `RtrrlError` where there are not as many labels as runs, or both `labels` and `by`;
    `UnknownNameError` where no run has the setting `by`.
    """
    if by is not None and labels is not None:
        raise RtrrlError("both labels and by are given: choose one way to name the curves")
    if by is not None:
        labelled = _labelled_by(runs, by)
    else:
        names = _distinct(runs, names) if labels is None else _one_each(runs, labels)
        labelled = [
            (seed, _with_settings(name, seed))
            for run, name in zip(runs, names, strict=True)
            for seed in _seeds([run])
        ]
    tasks: dict[str, dict[str, list[Seed]]] = {run.config["task"]: {} for run in runs}
    for seed, label in labelled:
        tasks[seed.run.config["task"]].setdefault(label, []).append(seed)
    return {task: [Curve(*item) for item in curves.items()] for task, curves in tasks.items()}


def _seeds(runs: Sequence[Run]) -> Iterator[Seed]:
    return (Seed(run, place) for run in runs for place in range(len(run.seeds)))


def _one_each(runs: Sequence[Run], labels: str | Sequence[str]) -> Sequence[str]:
    labels = [labels] if isinstance(labels, str) else labels
    if len(labels) != len(runs):
        raise RtrrlError(
            f"the number of labels is {len(labels)} and that of runs {len(runs)}: give one label "
            "per run"
        )
    return labels


def _distinct(runs: Sequence[Run], names: Sequence[str]) -> list[str]:
    """The names; where runs of a task share one, with what tells their folders apart."""
    sharing: dict[tuple[str, str], list[int]] = {}
    for index, (run, name) in enumerate(zip(runs, names, strict=True)):
        sharing.setdefault((run.config["task"], name), []).append(index)
    distinct = list(names)
    for indices in sharing.values():
        folders = [runs[index].folder for index in indices]
        ways = (
            [folder and folder.name for folder in folders],
            [folder and str(folder) for folder in folders],
            range(1, len(folders) + 1),
        )
        suffixes = next(way for way in ways if None not in way and len(set(way)) == len(way))
        if len(indices) > 1:
            for index, suffix in zip(indices, suffixes, strict=True):
                distinct[index] += f" ({suffix})"
    return distinct


def _with_settings(name: str, seed: Seed) -> str:
    """The name of an agent with the seed's own settings, in place of the arrays that hold them."""
    for path, value in seed.own_settings().items():
        own, array = _setting(path, value), f"{path}={shown(seed.run.per_seed[path])}"
        name = name.replace(array, own) if array in name else f"{name}, {own}"
    return name


def _labelled_by(runs: Sequence[Run], path: str) -> list[tuple[Seed, str]]:
    """The seeds, in the order of their values of the setting if these are numbers."""
    found = [(seed, seed.settings()) for seed in _seeds(runs)]
    known = {name for _, settings in found for name in settings}
    if path not in known:
        raise UnknownNameError("entry of the runs' configs", path, known)

    def rank(pair: tuple[Seed, dict[str, Any]]) -> int | float:
        value = pair[1].get(path)
        return value if isinstance(value, int | float) else math.inf

    return [
        (seed, _setting(path, settings[path]) if path in settings else f"no {path}")
        for seed, settings in sorted(found, key=rank)
    ]


def _setting(path: str, value: Any) -> str:
    """A setting as labels show it; `agent` and `task` are names already."""
    text = f"{value:g}" if isinstance(value, float) else str(value)
    return text if path in ("agent", "task") else f"{path.removeprefix('agent.')}={text}"


def _flat(config: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Entries by dotted path; a part of the agent has the short name of its class."""
    found = {}
    for name, value in config.items():
        if isinstance(value, dict):
            if "type" in value:
                found[prefix + name] = short_name(value["type"])
            found |= _flat(value, f"{prefix}{name}.")
        elif name != "type":
            found[prefix + name] = value
    return found
