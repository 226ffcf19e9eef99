"""Figures of runs: learning curves with every seed in sight, and the variance of updates."""

import io
import textwrap
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Float, Int
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.ticker import FuncFormatter, MaxNLocator

from rtrrl.errors import RtrrlError
from rtrrl.runs.run import Run
from rtrrl.utils.files import write_atomic

# Okabe and Ito's colours, which every kind of colour vision tells apart, without their yellow.
_COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
_INK, _PALE = "#262626", "#8c8c8c"
_SUFFIXES = (".png", ".svg", ".pdf")
PIXELS = 1800
"""The most that a picture is wide."""

Interval = tuple[float, float, float]


def learning_curve(
    runs: Sequence[Run], path: str | Path | None = None, labels: Sequence[str] | None = None
) -> Figure:
    """Draw evaluation return over environment steps, a panel for every task, a colour for a label.

    Bold is the median over seeds, the band its quartiles, faint the single seeds. `labels` (one a
    run) are the agents' names unless given. The figure is returned, and written to `path` if
    there is one.

    **Raises** `RtrrlError` where `path` ends in none of .png, .svg and .pdf.
    """
    _check_suffix(path)
    named = list(zip(runs, labels or _told_apart(runs, _agents(runs)), strict=True))
    colors = _colors([label for _, label in named])
    tasks = list(dict.fromkeys(run.config["task"] for run in runs))
    figure, panels = _grid(len(tasks))
    for panel, task in zip(panels, tasks, strict=True):
        here = [(run, label) for run, label in named if run.config["task"] == task]
        for run, label in here:
            _draw(panel, run, label, colors[label])
        _frame(panel, _end([run for run, _ in here]))
        _name(panel, task)
    if path is not None:
        _write(figure, Path(path))
    return figure


def update_variance(runs: Sequence[Run], path: str | Path | None = None) -> Figure:
    """Draw a monitored run's gradient variance and update norm over the steps of each stream.

    Two panels for every task, a line for each run, named by its number of streams: the median over
    seeds, in the band of all of them. Both scales are logarithmic. The figure is returned, and
    written to `path` if there is one.

    **Raises** `RtrrlError` where `path` ends in none of .png, .svg and .pdf.
    """
    _check_suffix(path)
    agents = _agents(runs)
    num_envs = [_counted(run.config.get("num_envs", 1), "stream") for run in runs]
    if len(set(agents)) > 1:
        num_envs = [f"{agent}, {each}" for agent, each in zip(agents, num_envs, strict=True)]
    named = list(zip(runs, _told_apart(runs, num_envs), strict=True))
    colors = _colors([label for _, label in named])
    tasks = list(dict.fromkeys(run.config["task"] for run in runs))
    figure = _figure(8.8, 3.7 * len(tasks))
    rows = figure.subplots(len(tasks), 2, squeeze=False)
    for panels, task in zip(rows, tasks, strict=True):
        here = [(run, label) for run, label in named if run.config["task"] == task]
        for panel, column in zip(panels, ("gradient_variance", "update_norm"), strict=True):
            for run, label in here:
                _draw_band(panel, run, column, label, colors[label])
            panel.set_ylabel(column.replace("_", " "), fontsize=11, color=_INK)
            panel.set_yscale("log")
            _frame(panel, _end([run for run, _ in here]))
        _name(panels[0], task)
    for panel in rows[-1]:
        panel.set_xlabel("environment steps of a stream", fontsize=11, color=_INK)
    if path is not None:
        _write(figure, Path(path))
    return figure


def forest(groups: Mapping[str, Mapping[str, Interval]], path: str | Path | None = None) -> Figure:
    """Draw estimates with their intervals, a panel for each group and a row for each name.

    The first name of all is what the others are compared with: its estimate is a line through the
    panel. An interval is (estimate, low, high). The figure is returned, and written to `path` if
    there is one.

    **Raises** `RtrrlError` where `path` ends in none of .png, .svg and .pdf.
    """
    _check_suffix(path)
    names = list(dict.fromkeys(name for group in groups.values() for name in group))
    figure = _figure(2.2 + 2.4 * len(groups), 0.8 + 0.27 * len(names))
    panels = list(figure.subplots(1, len(groups), sharey=True, squeeze=False).flat)
    for panel, (title, group) in zip(panels, groups.items(), strict=True):
        for row, name in enumerate(names):
            if name in group:
                estimate, low, high = group[name]
                color = _COLORS[1] if row == 0 else _COLORS[0]
                panel.plot([low, high], [row, row], color=color, linewidth=2.2, alpha=0.5)
                panel.plot(estimate, row, "o", color=color, markersize=5)
        if names and names[0] in group:
            panel.axvline(group[names[0]][0], color=_COLORS[1], linewidth=0.8, zorder=0)
        panel.set_title(title, fontsize=11, fontweight="bold", color=_INK)
        panel.spines[["top", "right", "left"]].set_visible(False)
        panel.tick_params(colors=_INK, color=_PALE, labelsize=9, left=False)
        panel.xaxis.set_major_locator(MaxNLocator(3))
        panel.grid(axis="x", color="#e6e6e6", linewidth=0.8)
        panel.set_axisbelow(True)
    panels[0].set_yticks(range(len(names)), names)
    panels[0].invert_yaxis()
    if path is not None:
        _write(figure, Path(path))
    return figure


def _check_suffix(path: str | Path | None) -> None:
    if path is not None and Path(path).suffix not in _SUFFIXES:
        raise RtrrlError(f"cannot draw into {path}: give a name that ends in .png, .svg or .pdf")


def _agents(runs: Sequence[Run]) -> list[str]:
    return [run.config["agent"] for run in runs]


def _told_apart(runs: Sequence[Run], names: Sequence[str]) -> list[str]:
    """The names, with the folder's where one task has a name more than once."""
    pairs = [(run.config["task"], name) for run, name in zip(runs, names, strict=True)]
    count = Counter(pairs)
    return [
        f"{name} ({run.folder.name})" if count[task, name] > 1 and run.folder else name
        for run, (task, name) in zip(runs, pairs, strict=True)
    ]


def _colors(labels: Sequence[str]) -> dict[str, str]:
    """One for each label, from the first on."""
    return {
        label: _COLORS[index % len(_COLORS)] for index, label in enumerate(dict.fromkeys(labels))
    }


def _end(runs: Sequence[Run]) -> int:
    return max(run.steps or run.config["steps"] for run in runs)


def _counted(count: int, thing: str) -> str:
    return f"{count} {thing}" if count == 1 else f"{count} {thing}s"


def _grid(count: int) -> tuple[Figure, list[Axes]]:
    """A figure with `count` panels; only those at the left and lower edge name their axes."""
    columns = 2 if count == 4 else max(1, min(count, 3))
    rows = max(1, -(-count // columns))
    size = (6.4, 4.4) if count <= 1 else (4.4 * columns, 3.7 * rows)
    figure = _figure(*size)
    panels = list(figure.subplots(rows, columns, squeeze=False).flat)
    for index, panel in enumerate(panels):
        panel.set_visible(index < count)
        if index % columns == 0:
            panel.set_ylabel("evaluation return", fontsize=11, color=_INK)
        if index + columns >= count:
            panel.set_xlabel("environment steps", fontsize=11, color=_INK)
    return figure, panels[:count]


def _figure(width: float, height: float) -> Figure:
    layout = ConstrainedLayoutEngine(w_pad=0.1, h_pad=0.1)
    return Figure(figsize=(width, height), layout=layout)


def _draw(panel: Axes, run: Run, label: str, color: str) -> None:
    best, final = _median(run.best), _median(run.final)
    seeds = _counted(len(run.seeds), "seed")
    steps, returns = _matrix(run, "evaluation")
    low, median, high = _quartiles(returns)
    marker = "o" if len(steps) == 1 else None  # a line through one point is invisible
    if len(run.seeds) > 1:
        panel.plot(steps, returns, color=color, linewidth=0.7, alpha=0.25, marker=marker, zorder=2)
        panel.fill_between(steps, low, high, color=color, alpha=0.18, linewidth=0, zorder=3)
    panel.plot(
        steps,
        median,
        color=color,
        linewidth=2.2 if len(steps) <= 100 else 1.4,  # a thick line would fill its own zigzag
        marker=marker,
        solid_capstyle="round",
        zorder=4,
        label=textwrap.fill(f"{label}, {seeds}: best {best} / final {final}", 52),
    )


def _draw_band(panel: Axes, run: Run, column: str, label: str, color: str) -> None:
    """The median over seeds and, behind it, from the least to the greatest of them."""
    steps, values = _matrix(run, column)
    values = np.where(values > 0, values, np.nan)  # where nothing was learnt yet: not on a log axis
    known = np.isfinite(values).any(axis=1)
    steps, values = steps[known], values[known]
    marker = "o" if len(steps) == 1 else None
    low, high = np.nanmin(values, axis=1), np.nanmax(values, axis=1)
    panel.fill_between(steps, low, high, color=color, alpha=0.18, linewidth=0, zorder=3)
    median = np.nanmedian(values, axis=1)
    label = f"{label}, {_counted(len(run.seeds), 'seed')}"
    panel.plot(steps, median, color=color, linewidth=1.8, marker=marker, zorder=4, label=label)


def _matrix(
    run: Run, column: str
) -> tuple[Int[np.ndarray, " steps"], Float[np.ndarray, "steps seeds"]]:
    """The steps at which any seed has a value in `column`, and each seed's there (NaN: none)."""
    curves = []
    for seed in run.seeds:
        steps, values = run.column(column, seed)
        pairs = zip(steps, np.asarray(values, np.float64), strict=True)
        curves.append({step: value for step, value in pairs if np.isfinite(value)})
    steps = sorted(set().union(*curves))
    returns = [[curve.get(step, np.nan) for curve in curves] for step in steps]
    return np.array(steps, int), np.array(returns, float).reshape(len(steps), len(curves))


def _quartiles(returns: Float[np.ndarray, "steps seeds"]) -> Float[np.ndarray, "3 steps"]:
    if not len(returns):
        return np.empty((3, 0))
    return np.nanpercentile(returns, (25, 50, 75), axis=1)


def _median(scores: Float[np.ndarray, " seeds"]) -> str:
    known = scores[np.isfinite(scores)]
    if not len(known):
        return "–"
    median = float(np.median(known))
    digits = 2 if abs(median) < 10 else 1 if abs(median) < 100 else 0
    return f"{round(median, digits) + 0.0:.{digits}f}"


def _frame(panel: Axes, end: int) -> None:
    """Axes that stay behind the data."""
    panel.spines[["top", "right"]].set_visible(False)
    panel.spines[["left", "bottom"]].set_color(_PALE)
    panel.tick_params(which="both", colors=_INK, color=_PALE, labelsize=10)
    panel.grid(axis="y", color="#e6e6e6", linewidth=0.8)
    panel.set_axisbelow(True)
    panel.margins(y=0.06)
    panel.set_xlim(0, 1.02 * end)
    panel.xaxis.set_major_locator(MaxNLocator(6, steps=[1, 2, 2.5, 5, 10]))
    panel.xaxis.set_major_formatter(FuncFormatter(lambda steps, _: _short(steps)))


def _name(panel: Axes, task: str) -> None:
    """Above the panel the task, and what each colour is."""
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
        labelcolor=_INK,
    )
    legend.get_title().set(fontsize=13, fontweight="bold", color=_INK)


def _short(steps: int | float) -> str:
    """A number of steps as an axis has room for.

    >>> [_short(steps) for steps in (0, 500, 20_000, 1_500_000)]
    ['0', '500', '20k', '1.5M']
    """
    for unit, suffix in ((1e6, "M"), (1e3, "k")):
        if abs(steps) >= unit:
            return f"{steps / unit:g}{suffix}"
    return f"{steps:g}"


def _write(figure: Figure, path: Path) -> None:
    picture = io.BytesIO()
    dpi = min(200.0, PIXELS / figure.get_figwidth())
    figure.savefig(picture, format=path.suffix[1:], dpi=dpi, facecolor="white")
    write_atomic(path, picture.getvalue())
