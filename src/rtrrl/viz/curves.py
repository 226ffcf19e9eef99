"""Figures of runs: learning curves, the variance of updates, and estimates with intervals."""

import io
import textwrap
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, Int
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.ticker import FuncFormatter, MaxNLocator

from rtrrl.errors import RtrrlError
from rtrrl.runs.run import CURVE, VARIANCE, Run
from rtrrl.utils.files import write_atomic
from rtrrl.viz.colors import BLUE, GREY, GRID, INK, PALETTE, RED

MAX_WIDTH = 1800
"""Of a picture, in pixels."""

Interval = tuple[float, float, float]
"""Estimate, lower bound, upper bound."""


def plot(
    runs: Run | Sequence[Run], path: str | Path | None = None, labels: Sequence[str] | None = None
) -> Figure:
    """Draw evaluation return over environment steps: a panel per task, a color per label.

    The bold line is the median over seeds, the band spans the quartiles, and the faint lines are
    the single seeds.

    Args:
        runs: one run or several.
        path: a .png, .svg or .pdf to write. Without it a single run with a folder is drawn into
            `learning_curve.png` there; otherwise nothing is written.
        labels: one per run; by default the names of the agents.

    Returns: the figure.

    **Raises** `RtrrlError` where `path` has another suffix.
    """
    runs, path = _runs_and_path(runs, path, CURVE)
    labels = labels or _unique(runs, [run.config["agent"] for run in runs])
    by_task = _by_task(runs, labels)
    figure, panels = _grid(len(by_task))
    for panel, (task, entries) in zip(panels, by_task.items(), strict=True):
        for run, label, color in entries:
            steps, returns = _by_seed(run, "evaluation")
            if len(run.seeds) > 1:
                faint = {"color": color, "linewidth": 0.7, "alpha": 0.25, "zorder": 2}
                panel.plot(steps, returns, marker=_marker(steps), **faint)
            width = 2.2 if len(steps) <= 100 else 1.4  # a thick line would fill its own zigzag
            scores = f"best {_median(run.best)} / final {_median(run.final)}"
            label = textwrap.fill(f"{label}, {_count(len(run.seeds), 'seed')}: {scores}", 52)
            _draw(panel, steps, returns, (25, 75), color=color, linewidth=width, label=label)
        _style(panel, [run for run, *_ in entries])
        _add_legend(panel, task)
    return _write(figure, path)


def plot_variance(runs: Run | Sequence[Run], path: str | Path | None = None) -> Figure:
    """Draw gradient variance and update norm of monitored runs over the steps of an environment.

    There are two panels per task, both logarithmic, with a line per run, labelled by its number of
    environments: the median over seeds, in a band from the lowest to the highest seed.

    Args:
        runs: one run or several.
        path: as in `plot`; the file in a run's folder is `variance.png`.

    Returns: the figure.

    **Raises** `RtrrlError` where `path` has another suffix.
    """
    runs, path = _runs_and_path(runs, path, VARIANCE)
    agents = [run.config["agent"] for run in runs]
    labels = [_count(run.config.get("num_envs", 1), "environment") for run in runs]
    if len(set(agents)) > 1:
        labels = [f"{agent}, {label}" for agent, label in zip(agents, labels, strict=True)]
    by_task = _by_task(runs, _unique(runs, labels))
    figure = _figure(8.8, 3.7 * len(by_task))
    rows = figure.subplots(len(by_task), 2, squeeze=False)
    for panels, (task, entries) in zip(rows, by_task.items(), strict=True):
        for panel, column in zip(panels, ("gradient_variance", "update_norm"), strict=True):
            for run, label, color in entries:
                # 0 before the first update has no place on a logarithmic axis
                steps, values = _by_seed(run, column, above=0.0)
                label = f"{label}, {_count(len(run.seeds), 'seed')}"
                _draw(panel, steps, values, (0, 100), color=color, linewidth=1.8, label=label)
            panel.set_ylabel(column.replace("_", " "), fontsize=11, color=INK)
            panel.set_yscale("log")
            _style(panel, [run for run, *_ in entries])
        _add_legend(panels[0], task)
    for panel in rows[-1]:
        panel.set_xlabel("steps of each environment", fontsize=11, color=INK)
    return _write(figure, path)


def plot_intervals(
    groups: Mapping[str, Mapping[str, Interval]], path: str | Path | None = None
) -> Figure:
    """Draw estimates with their intervals (a forest plot): a panel per group, a row per name.

    The first name is the reference: a vertical line through each panel marks its estimate. The
    figure is returned, and written to `path` if given.

    **Raises** `RtrrlError` where `path` ends in none of .png, .svg and .pdf.
    """
    path = _checked(path)
    names = list(dict.fromkeys(name for group in groups.values() for name in group))
    figure = _figure(2.2 + 2.4 * len(groups), 0.8 + 0.27 * len(names))
    panels = list(figure.subplots(1, len(groups), sharey=True, squeeze=False).flat)
    for panel, (title, group) in zip(panels, groups.items(), strict=True):
        for row, name in enumerate(names):
            if name in group:
                estimate, low, high = group[name]
                color = RED if row == 0 else BLUE
                panel.plot([low, high], [row, row], color=color, linewidth=2.2, alpha=0.5)
                panel.plot(estimate, row, "o", color=color, markersize=5)
        if names and names[0] in group:
            panel.axvline(group[names[0]][0], color=RED, linewidth=0.8, zorder=0)
        panel.set_title(title, fontsize=10, fontweight="bold", color=INK)
        panel.spines[["top", "right", "left"]].set_visible(False)
        panel.tick_params(colors=INK, color=GREY, labelsize=9, left=False)
        panel.xaxis.set_major_locator(MaxNLocator(3))
        panel.grid(axis="x", color=GRID, linewidth=0.8)
        panel.set_axisbelow(True)
    panels[0].set_yticks(range(len(names)), names)
    panels[0].invert_yaxis()
    return _write(figure, path)


def _runs_and_path(
    runs: Run | Sequence[Run], path: str | Path | None, name: str
) -> tuple[Sequence[Run], Path | None]:
    """A sequence of runs, and where to draw them: `name` in the folder of a single run."""
    if isinstance(runs, Run):
        path = runs.folder / name if path is None and runs.folder else path
        runs = [runs]
    return runs, _checked(path)


def _checked(path: str | Path | None) -> Path | None:
    if path is not None and Path(path).suffix not in (".png", ".svg", ".pdf"):
        raise RtrrlError(f"cannot draw into {path}: give a name that ends in .png, .svg or .pdf")
    return None if path is None else Path(path)


def _unique(runs: Sequence[Run], labels: Sequence[str]) -> list[str]:
    """The labels, with the name of the run's folder where two runs of a task share one."""
    pairs = [(run.config["task"], label) for run, label in zip(runs, labels, strict=True)]
    count = Counter(pairs)
    return [
        f"{pair[1]} ({run.folder.name})" if count[pair] > 1 and run.folder else pair[1]
        for run, pair in zip(runs, pairs, strict=True)
    ]


def _by_task(runs: Sequence[Run], labels: Sequence[str]) -> dict[str, list[tuple[Run, str, str]]]:
    """Run, label and color of every run, by task; a label has one color in all tasks."""
    distinct = list(dict.fromkeys(labels))
    groups: dict[str, list[tuple[Run, str, str]]] = {}
    for run, label in zip(runs, labels, strict=True):
        color = PALETTE[distinct.index(label) % len(PALETTE)]
        groups.setdefault(run.config["task"], []).append((run, label, color))
    return groups


def _figure(width: float, height: float) -> Figure:
    """In inches."""
    layout = ConstrainedLayoutEngine(w_pad=0.1, h_pad=0.1)
    return Figure(figsize=(width, height), layout=layout)


def _grid(count: int) -> tuple[Figure, list[Axes]]:
    """A figure with `count` panels; only those at the left and lower edge have axis labels."""
    columns = 2 if count == 4 else max(1, min(count, 3))
    rows = max(1, -(-count // columns))
    figure = _figure(*(6.4, 4.4) if count <= 1 else (4.4 * columns, 3.7 * rows))
    panels = list(figure.subplots(rows, columns, squeeze=False).flat)
    for index, panel in enumerate(panels):
        panel.set_visible(index < count)
        if index % columns == 0:
            panel.set_ylabel("evaluation return", fontsize=11, color=INK)
        if index + columns >= count:
            panel.set_xlabel("environment steps", fontsize=11, color=INK)
    return figure, panels[:count]


def _draw(
    panel: Axes,
    steps: Int[np.ndarray, " steps"],
    values: Float[np.ndarray, "steps seeds"],
    band: tuple[int, int],
    **line: Any,
) -> None:
    """The median over seeds as a line, in a band between two percentiles."""
    percentiles = (band[0], 50, band[1])
    low, median, high = (
        np.nanpercentile(values, percentiles, axis=1) if len(steps) else np.empty((3, 0))
    )
    panel.fill_between(steps, low, high, color=line["color"], alpha=0.18, linewidth=0, zorder=3)
    panel.plot(steps, median, marker=_marker(steps), solid_capstyle="round", zorder=4, **line)


def _marker(steps: Int[np.ndarray, " steps"]) -> str | None:
    """A line through one point is invisible."""
    return "o" if len(steps) == 1 else None


def _by_seed(
    run: Run, column: str, above: float = -np.inf
) -> tuple[Int[np.ndarray, " steps"], Float[np.ndarray, "steps seeds"]]:
    """Steps at which any seed has a finite value > `above`, and each seed's there (NaN: none)."""
    curves = []
    for seed in run.seeds:
        steps, values = run.column(column, seed)
        pairs = zip(steps, np.asarray(values, np.float64), strict=True)
        curves.append({step: value for step, value in pairs if above < value < np.inf})
    steps = sorted(set().union(*curves))
    values = [[curve.get(step, np.nan) for curve in curves] for step in steps]
    return np.array(steps, int), np.array(values, float).reshape(len(steps), len(curves))


def _median(scores: Float[np.ndarray, " seeds"]) -> str:
    """In three digits; a dash where there is none."""
    finite = scores[np.isfinite(scores)]
    if not len(finite):
        return "–"
    median = float(np.median(finite))
    digits = 2 if abs(median) < 10 else 1 if abs(median) < 100 else 0
    return f"{round(median, digits) + 0.0:.{digits}f}"


def _count(number: int, thing: str) -> str:
    return f"{number} {thing}" if number == 1 else f"{number} {thing}s"


def _style(panel: Axes, runs: Sequence[Run]) -> None:
    """Thin axes behind the data, and an x axis as long as the longest run."""
    panel.spines[["top", "right"]].set_visible(False)
    panel.spines[["left", "bottom"]].set_color(GREY)
    panel.tick_params(which="both", colors=INK, color=GREY, labelsize=10)
    panel.grid(axis="y", color=GRID, linewidth=0.8)
    panel.set_axisbelow(True)
    panel.margins(y=0.06)
    panel.set_xlim(0, 1.02 * max(run.steps or run.config["steps"] for run in runs))
    panel.xaxis.set_major_locator(MaxNLocator(6, steps=[1, 2, 2.5, 5, 10]))
    panel.xaxis.set_major_formatter(FuncFormatter(lambda steps, _: _short(steps)))


def _add_legend(panel: Axes, task: str) -> None:
    """Above the panel: the task, and the label of each color."""
    legend = panel.legend(
        title=task,
        loc="lower left",
        bbox_to_anchor=(0.0, 1.03),
        alignment="left",
        frameon=False,
        borderpad=0.0,
        borderaxespad=0.0,
        handlelength=1.4,
        fontsize=9.5,
        labelcolor=INK,
    )
    legend.get_title().set(fontsize=13, fontweight="bold", color=INK)


def _short(steps: int | float) -> str:
    """The label of a number of steps on an axis.

    >>> [_short(steps) for steps in (0, 500, 20_000, 1_500_000)]
    ['0', '500', '20k', '1.5M']
    """
    for unit, suffix in ((1e6, "M"), (1e3, "k")):
        if abs(steps) >= unit:
            return f"{steps / unit:g}{suffix}"
    return f"{steps:g}"


def _write(figure: Figure, path: Path | None) -> Figure:
    if path is not None:
        picture = io.BytesIO()
        dpi = min(200.0, MAX_WIDTH / figure.get_figwidth())
        figure.savefig(picture, format=path.suffix[1:], dpi=dpi, facecolor="white")
        write_atomic(path, picture.getvalue())
    return figure
