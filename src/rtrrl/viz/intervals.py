"""Estimates with their intervals."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from rtrrl.viz.colors import BLUE, GREY, GRID, INK, RED
from rtrrl.viz.layout import LABEL, POINTS, TICK, checked, new_figure, text_width, wrap, write

Interval = tuple[float, float, float]
"""Estimate, lower bound, upper bound."""

PANEL, NAMES = 2.4, 3.2
"""The width of a panel, and the largest of the names, in inches."""
COLUMNS = 6
"""Panels side by side."""


def plot_intervals(
    groups: Mapping[str, Mapping[str, Interval]], path: str | Path | None = None
) -> Figure:
    """Draw estimates with their intervals (a forest plot): a panel per group, a row per name.

    The first name is the reference: a vertical line through each panel marks its estimate. The
    figure is returned, and written to `path` if given.

    **Raises** `RtrrlError` where `path` ends in none of .png, .svg and .pdf.
    """
    path = checked(path)
    names = list(dict.fromkeys(name for group in groups.values() for name in group))
    figure, panels = _grid(len(groups), [wrap(name, POINTS * NAMES, LABEL) for name in names])
    for panel, (title, group) in zip(panels, groups.items(), strict=True):
        for row, name in enumerate(names):
            if name in group:
                estimate, low, high = group[name]
                color = RED if row == 0 else BLUE
                panel.plot([low, high], [row, row], color=color, linewidth=2.2, alpha=0.5)
                panel.plot(estimate, row, "o", color=color, markersize=5)
        if names and names[0] in group:
            panel.axvline(group[names[0]][0], color=RED, linewidth=0.8, zorder=1)
        title = wrap(title, POINTS * (PANEL - 0.2), TICK, "bold")
        panel.set_title(title, fontsize=TICK, fontweight="bold", color=INK, parse_math=False)
    return write(figure, path)


def _grid(count: int, names: Sequence[str]) -> tuple[Figure, list[Axes]]:
    """A figure with `count` panels, which have a row for each name."""
    columns = max(1, min(count, COLUMNS))
    rows = max(1, math.ceil(count / columns))
    margin = max((text_width(name, LABEL) for name in names), default=0.0) / POINTS
    row = 0.11 + 0.16 * max((1 + name.count("\n") for name in names), default=0)
    figure = new_figure(0.4 + margin + PANEL * columns, rows * (0.8 + row * max(2, len(names))))
    panels = list(figure.subplots(rows, columns, sharey=True, squeeze=False).flat)
    panels[0].set_yticks(range(len(names)), names, parse_math=False)
    panels[0].set_ylim(len(names) - 0.4, -0.6)
    for index, panel in enumerate(panels):
        panel.set_visible(index < count)
        panel.spines[["top", "right", "left"]].set_visible(False)
        panel.tick_params(colors=INK, color=GREY, labelsize=LABEL, left=False)
        panel.xaxis.set_major_locator(MaxNLocator(3))
        panel.grid(axis="x", color=GRID, linewidth=0.8)
        panel.set_axisbelow(True)
    return figure, panels[:count]
