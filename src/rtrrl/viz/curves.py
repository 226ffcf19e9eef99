"""Curves of runs over steps: evaluation returns, and the variance of updates."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, Int
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from rtrrl.errors import RtrrlError
from rtrrl.runs.run import CURVE, VARIANCE, Run
from rtrrl.viz.bands import QUARTILES, RANGE, Band
from rtrrl.viz.colors import INK, line_style
from rtrrl.viz.grouping import Curve, group
from rtrrl.viz.layout import Legend, add_legends, add_note, checked, new_figure, style, write

FEW = 6
"""Curves in a panel that are drawn bold, with their seeds."""

Look = Mapping[str, Mapping[str, Any]]
"""Color and dashes of every label."""


def plot(
    runs: Run | Sequence[Run],
    path: str | Path | None = None,
    labels: str | Sequence[str] | None = None,
    by: str | None = None,
    band: Band = QUARTILES,
) -> Figure:
    """Draw evaluation return over environment steps: a panel per task, a curve per label.

    A curve is the median over all seeds that have its label; where their evaluations are at
    different steps, each seed is interpolated between its own. The band spans the quartiles, or
    what `band` computes, such as `rtrrl.viz.bands.Bootstrap()`: the 95 % bootstrap interval of the
    median. The faint lines are the single seeds, where there are at most `FEW` curves in a panel.

    Args:
        runs: one run or several.
        path: a .png, .svg or .pdf to write. Without it a single run with a folder is drawn into
            `learning_curve.png` there; otherwise nothing is written.
        labels: one per run; by default the names of the agents, with what else is needed to tell
            the runs apart. The settings that differ among the seeds of a run are added.
        by: the dotted path of an entry of the runs' configs, whose values are the labels:
            `agent.cell`, `agent.cell.hidden_size`, `num_envs`, ...; or `seed`.
        band: what is shaded.

    Returns: the figure.

    **Raises** `RtrrlError` where `path` has another suffix, where there are not as many labels as
    runs, or both `labels` and `by`; `UnknownNameError` where no run has the entry `by`.
    """
    _check(band)
    runs, path = _runs_and_path(runs, path, CURVE)
    tasks = group(runs, [run.config["agent"] for run in runs], labels, by)
    look = _look(tasks)
    figure, panels = _grid(len(tasks), _crowded(tasks))
    legends = []
    for panel, (task, curves) in zip(panels, tasks.items(), strict=True):
        lines = _draw_returns(panel, curves, look, band)
        legends.append(Legend(task, lines, panel, panel))
    _add_note(figure, tasks, band)
    add_legends(figure, legends)
    return write(figure, path)


def plot_variance(
    runs: Run | Sequence[Run],
    path: str | Path | None = None,
    labels: str | Sequence[str] | None = None,
    by: str | None = None,
    band: Band = RANGE,
) -> Figure:
    """Draw gradient variance and update norm of monitored runs over the steps of an environment.

    There are two panels per task, both logarithmic, with a curve per label: the median over seeds,
    in a band from the lowest to the highest seed.

    Args:
        runs: one run or several.
        path: as in `plot`; the file in a run's folder is `variance.png`.
        labels: as in `plot`; by default the numbers of environments, and the names of the agents
            where these differ.
        by: as in `plot`.
        band: as in `plot`.

    Returns: the figure.

    **Raises** as `plot` does.
    """
    _check(band)
    runs, path = _runs_and_path(runs, path, VARIANCE)
    agents = [run.config["agent"] for run in runs]
    names = [_count(run.config.get("num_envs", 1), "environment") for run in runs]
    if len(set(agents)) > 1:
        names = [f"{agent}, {name}" for agent, name in zip(agents, names, strict=True)]
    tasks = group(runs, names, labels, by)
    look = _look(tasks)
    height = 4.0 if _crowded(tasks) else 3.5
    figure = new_figure(8.8, height * max(1, len(tasks)))
    rows = figure.subplots(max(1, len(tasks)), 2, squeeze=False)
    legends = []
    for (left, right), (task, curves) in zip(rows, tasks.items(), strict=False):
        lines = _draw_positive(left, "gradient_variance", curves, look, band)
        _draw_positive(right, "update_norm", curves, look, band)
        legends.append(Legend(task, lines, left, right))
    for panel in rows[-1]:
        panel.set_xlabel("steps of each environment", fontsize=11, color=INK)
    _add_note(figure, tasks, band)
    add_legends(figure, legends)
    return write(figure, path)


def _runs_and_path(
    runs: Any, path: str | Path | None, name: str
) -> tuple[Sequence[Run], Path | None]:
    """A sequence of runs, and where to draw them: `name` in the folder of a single run."""
    if isinstance(runs, Run) and runs.folder and path is None:
        path = runs.folder / name
    runs = [runs] if isinstance(runs, Run | str | Path) else list(runs)
    for run in runs:
        if not isinstance(run, Run):
            raise RtrrlError(
                f"{run!r} is not a Run: pass what rtrrl.train or rtrrl.load_run(folder) returns"
            )
    return runs, checked(path)


def _check(band: Any) -> None:
    if not isinstance(band, Band):
        raise RtrrlError(
            f"band is {band!r}: expected a rtrrl.viz.bands.Band, such as Bootstrap() there"
        )


def _look(tasks: Mapping[str, Sequence[Curve]]) -> Look:
    """The style of every label, the same in all tasks."""
    labels = dict.fromkeys(curve.label for curves in tasks.values() for curve in curves)
    return {label: line_style(index) for index, label in enumerate(labels)}


def _crowded(tasks: Mapping[str, Sequence[Curve]]) -> bool:
    return any(len(curves) > FEW for curves in tasks.values())


def _grid(count: int, crowded: bool) -> tuple[Figure, list[Axes]]:
    """A figure with `count` panels; only those at the left and lower edge have axis labels."""
    columns = max(1, min(count, 2 if crowded or count == 4 else 3))
    rows = max(1, -(-count // columns))
    width, height = (6.4, 3.9) if crowded or count <= 1 else (4.4, 3.5)
    if crowded and count == 1:
        width, height = 8.8, 5.6
    figure = new_figure(width * columns, height * rows)
    panels = list(figure.subplots(rows, columns, squeeze=False).flat)
    for index, panel in enumerate(panels):
        panel.set_visible(index < count)
        if index % columns == 0:
            panel.set_ylabel("evaluation return", fontsize=11, color=INK)
        if index + columns >= count:
            panel.set_xlabel("environment steps", fontsize=11, color=INK)
    return figure, panels[:count]


def _draw_returns(panel: Axes, curves: Sequence[Curve], look: Look, band: Band) -> list[Line2D]:
    lines = []
    for curve in curves:
        steps, returns = curve.values("evaluation")
        if len(curve.seeds) > 1 and len(curves) <= FEW:
            alpha = min(0.25, 2.5 / len(curve.seeds))
            faint = {"color": look[curve.label]["color"], "linewidth": 0.7, "alpha": alpha}
            panel.plot(steps, returns, marker=_marker(steps), zorder=2, **faint)
        best, final = map(_median, zip(*(seed.score() for seed in curve.seeds), strict=True))
        label = f"{_label(curve)}: {_unbroken(f'best {best} / final {final}')}"
        lines.append(_draw(panel, steps, returns, band, len(curves), label, look[curve.label]))
    style(panel, _longest(curves))
    return lines


def _draw_positive(
    panel: Axes, column: str, curves: Sequence[Curve], look: Look, band: Band
) -> list[Line2D]:
    """On a logarithmic axis, which has no place for the 0 before the first update."""
    lines = []
    for curve in curves:
        steps, values = curve.values(column, above=0.0)
        line = _draw(panel, steps, values, band, len(curves), _label(curve), look[curve.label])
        lines.append(line)
    panel.set_ylabel(column.replace("_", " "), fontsize=11, color=INK)
    panel.set_yscale("log")
    style(panel, _longest(curves))
    return lines


def _draw(
    panel: Axes,
    steps: Int[np.ndarray, " steps"],
    values: Float[np.ndarray, "steps seeds"],
    band: Band,
    crowd: int,
    label: str,
    look: Mapping[str, Any],
) -> Line2D:
    """The median over seeds as a line, in its band; both the paler, the more curves there are."""
    if len(steps):
        low, high = band(values)
        edge = 3.0 if len(steps) == 1 else 0.0  # the band at one step is a vertical line
        shade = {"color": look["color"], "alpha": 0.18 * min(1, FEW / crowd), "linewidth": edge}
        panel.fill_between(steps, low, high, zorder=3, **shade)
    thick = crowd <= FEW and len(steps) <= 100  # a thick line would fill its own zigzag
    (line,) = panel.plot(
        steps,
        np.nanmedian(values, axis=1) if len(steps) else [],
        marker=_marker(steps),
        linewidth=2.2 if thick else 1.4,
        solid_capstyle="round",
        zorder=4,
        label=label,
        **look,
    )
    return line


def _marker(steps: Int[np.ndarray, " steps"]) -> str | None:
    """A line through one point is invisible."""
    return "o" if len(steps) == 1 else None


def _median(scores: Sequence[float]) -> str:
    """In three digits; a dash where there is none."""
    finite = [score for score in scores if np.isfinite(score)]
    if not finite:
        return "–"
    median = float(np.median(finite))
    digits = 2 if abs(median) < 10 else 1 if abs(median) < 100 else 0
    return f"{round(median, digits) + 0.0:.{digits}f}"


def _label(curve: Curve) -> str:
    return f"{curve.label}, {_unbroken(_count(len(curve.seeds), 'seed'))}"


def _unbroken(text: str) -> str:
    """The text with spaces at which no line ends."""
    return text.replace(" ", "\N{NO-BREAK SPACE}")


def _count(number: int, thing: str) -> str:
    return f"{number} {thing}" if number == 1 else f"{number} {thing}s"


def _longest(curves: Sequence[Curve]) -> int:
    """The steps of the longest run."""
    runs = (seed.run for curve in curves for seed in curve.seeds)
    return max(run.steps or run.config["steps"] for run in runs)


def _add_note(figure: Figure, tasks: Mapping[str, Sequence[Curve]], band: Band) -> None:
    """What lines and bands are, where there are bands."""
    if any(len(curve.seeds) > 1 for curves in tasks.values() for curve in curves):
        add_note(figure, f"line: median over seeds; band: {band}")
