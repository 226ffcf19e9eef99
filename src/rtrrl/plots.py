"""Figures of runs: learning curves with every seed in sight."""

import io
import textwrap
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Float, Int
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.ticker import FuncFormatter, MaxNLocator

from rtrrl.checkpoints import write_atomic
from rtrrl.errors import RtrrlError
from rtrrl.results import Run

# Okabe and Ito's colours, which every kind of colour vision tells apart, without their yellow.
_COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
_INK, _PALE = "#262626", "#8c8c8c"
_SUFFIXES = (".png", ".svg", ".pdf")


def learning_curve(
    runs: Sequence[Run], path: str | Path | None = None, labels: Sequence[str] | None = None
) -> Figure:
    """Draw evaluation return over environment steps, a panel for every task, a colour for a label.

    Bold is the median over seeds, the band its quartiles, faint the single seeds. `labels` (one a
    run) are the agents' names unless given. The figure is returned, and written to `path` if
    there is one.

    **Raises** `RtrrlError` where `path` ends in none of .png, .svg and .pdf.
    """
    if path is not None and Path(path).suffix not in _SUFFIXES:
        raise RtrrlError(f"cannot draw into {path}: give a name that ends in .png, .svg or .pdf")
    named = list(zip(runs, labels or _labels(runs), strict=True))
    colors = {
        label: _COLORS[index % len(_COLORS)]
        for index, label in enumerate(dict.fromkeys(label for _, label in named))
    }
    tasks = list(dict.fromkeys(run.config["task"] for run in runs))
    figure, panels = _grid(len(tasks))
    for panel, task in zip(panels, tasks, strict=True):
        here = [(run, label) for run, label in named if run.config["task"] == task]
        for run, label in here:
            _draw(panel, run, label, colors[label])
        _finish(panel, task, end=max(run.steps or run.config["steps"] for run, _ in here))
    if path is not None:
        _write(figure, Path(path))
    return figure


def _labels(runs: Sequence[Run]) -> list[str]:
    """The agents' names, with the folder's where one task has an agent more than once."""
    names = [(run.config["task"], run.config["agent"]) for run in runs]
    count = Counter(names)
    return [
        f"{agent} ({run.folder.name})" if count[task, agent] > 1 and run.folder else agent
        for run, (task, agent) in zip(runs, names, strict=True)
    ]


def _grid(count: int) -> tuple[Figure, list[Axes]]:
    """A figure with `count` panels; only those at the left and lower edge name their axes."""
    columns = 2 if count == 4 else max(1, min(count, 3))
    rows = max(1, -(-count // columns))
    size = (6.4, 4.4) if count <= 1 else (4.4 * columns, 3.7 * rows)
    figure = Figure(figsize=size, layout=ConstrainedLayoutEngine(w_pad=0.1, h_pad=0.1))
    panels = list(figure.subplots(rows, columns, squeeze=False).flat)
    for index, panel in enumerate(panels):
        panel.set_visible(index < count)
        if index % columns == 0:
            panel.set_ylabel("evaluation return", fontsize=11, color=_INK)
        if index + columns >= count:
            panel.set_xlabel("environment steps", fontsize=11, color=_INK)
    return figure, panels[:count]


def _draw(panel: Axes, run: Run, label: str, color: str) -> None:
    best, final = _median(run.best), _median(run.final)
    seeds = f"{len(run.seeds)} seeds" if len(run.seeds) > 1 else "1 seed"
    steps, returns = _matrix(run)
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


def _matrix(run: Run) -> tuple[Int[np.ndarray, " steps"], Float[np.ndarray, "steps seeds"]]:
    """The steps at which any seed was evaluated, and each seed's return there (NaN: none)."""
    curves = []
    for seed in run.seeds:
        steps, values = run.evaluations(seed)
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
    return f"{median:.{digits}f}"


def _finish(panel: Axes, task: str, end: int) -> None:
    """Axes that stay behind the data, and above them the task and what each colour is."""
    panel.spines[["top", "right"]].set_visible(False)
    panel.spines[["left", "bottom"]].set_color(_PALE)
    panel.tick_params(colors=_INK, color=_PALE, labelsize=10)
    panel.grid(axis="y", color="#e6e6e6", linewidth=0.8)
    panel.set_axisbelow(True)
    panel.margins(y=0.06)
    panel.set_xlim(0, 1.02 * end)
    panel.xaxis.set_major_locator(MaxNLocator(6, steps=[1, 2, 2.5, 5, 10]))
    panel.xaxis.set_major_formatter(FuncFormatter(lambda steps, _: _short(steps)))
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
    figure.savefig(picture, format=path.suffix[1:], dpi=200, facecolor="white")
    write_atomic(path, picture.getvalue())
