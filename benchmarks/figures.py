"""The figures of docs/performance.md: time and memory side by side, on logarithmic axes."""

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter
from scaling import EXPONENTS, curve

# Okabe and Ito's colours, which every kind of colour vision tells apart, without their yellow.
COLORS = {
    "C loop": "#262626",
    "CT-RNN + RFLO": "#0072B2",
    "RTU + diagonal RTRL": "#D55E00",
    "CT-RNN + SnAp-1": "#009E73",
    "CT-RNN + UORO": "#CC79A7",
    "CT-RNN + dense RTRL": "#E69F00",
    "CT-RNN + TBPTT": "#56B4E9",
}
INK, PALE = "#262626", "#8c8c8c"

XLABELS = {"units": "units n", "seeds": "seeds side by side", "window": "window, steps"}
YLABELS = ("µs a step", "bytes")


def figure(points: list[dict[str, Any]], study: str) -> Figure:
    """One study: a line for each series, dotted the slope that theory gives it."""
    drawn = Figure(figsize=(11, 4.6), layout="constrained")
    panels = drawn.subplots(1, 2)
    series = [name for where, name in EXPONENTS if where == study and curve(points, study, name)[0]]
    for which, panel in enumerate(panels):
        ends = []
        for name in series:
            color, (sizes, *values) = COLORS[name], curve(points, study, name)
            _line(panel, sizes, values[which], EXPONENTS[study, name][which], color)
            ends.append((name, color, sizes[-1], values[which][-1]))
        _finish(panel, XLABELS[study], YLABELS[which])
        _label(panel, ends)
    return drawn


def write(drawn: Figure, path: Path) -> None:
    """As a PNG."""
    picture = io.BytesIO()
    drawn.savefig(picture, format="png", dpi=110, facecolor="white")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(picture.getvalue())


def _line(
    panel: Axes, sizes: Sequence[int], values: Sequence[float], slope: int, color: str
) -> None:
    panel.plot(sizes, values, color=color, linewidth=1.8, marker="o", markersize=3.5, zorder=3)
    upper = np.array(sizes[len(sizes) // 2 :], float)
    theory = values[-1] * (upper / upper[-1]) ** slope
    panel.plot(upper, theory, color=color, linewidth=1.6, linestyle=":", zorder=2)


def _finish(panel: Axes, xlabel: str, ylabel: str) -> None:
    panel.set_xscale("log", base=2)
    panel.set_yscale("log")
    low, high = panel.get_ylim()
    if high < 100 * low:  # flat lines, which a narrow axis would make look steep
        middle = (low * high) ** 0.5
        panel.set_ylim(middle / 10, middle * 10)
    panel.set_xlabel(xlabel, fontsize=11, color=INK)
    panel.set_ylabel(ylabel, fontsize=11, color=INK)
    panel.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:,.0f}"))
    panel.yaxis.set_major_locator(LogLocator(10, numticks=12))
    panel.yaxis.set_minor_formatter(NullFormatter())
    panel.spines[["top", "right"]].set_visible(False)
    panel.spines[["left", "bottom"]].set_color(PALE)
    panel.tick_params(which="both", colors=INK, color=PALE, labelsize=10)
    panel.grid(axis="y", color="#e6e6e6", linewidth=0.8)
    panel.set_axisbelow(True)


def _label(panel: Axes, ends: list[tuple[str, str, int, float]]) -> None:
    """Names at the ends of their lines: in one column at the right, above those that end before."""
    low, high = np.log(panel.get_ylim())
    last = max(x for _, _, x, _ in ends)
    column = sorted((end for end in ends if end[2] == last), key=lambda end: end[3])
    heights = spread([(np.log(y) - low) / (high - low) for *_, y in column], gap=0.055)
    for (name, color, x, _), height in zip(column, heights, strict=True):
        at = float(np.exp(low + height * (high - low)))
        _name(panel, name, color, x, at, offset=(8, 0), ha="left", va="center")
    for name, color, x, y in ends:
        if x < last:
            _name(panel, name, color, x, y, offset=(4, 6), ha="right", va="bottom")


def _name(
    panel: Axes, name: str, color: str, x: float, y: float, offset: tuple[int, int], **place: str
) -> None:
    look = {"color": color, "fontsize": 9.5, "annotation_clip": False, **place}
    panel.annotate(name, (x, y), xytext=offset, textcoords="offset points", **look)


def spread(heights: Sequence[float], gap: float) -> list[float]:
    """Rising heights moved as little as may be, so that neighbours are `gap` apart.

    >>> [round(height, 3) for height in spread([0.1, 0.5, 0.52], 0.1)]
    [0.1, 0.46, 0.56]
    """
    groups: list[list[float]] = []  # runs of labels that touch, by their wished-for heights
    for height in heights:
        groups.append([height])
        while len(groups) > 1 and _top(groups[-2], gap) + gap > _bottom(groups[-1], gap):
            groups[-2:] = [groups[-2] + groups[-1]]
    return [_bottom(group, gap) + i * gap for group in groups for i in range(len(group))]


def _bottom(group: list[float], gap: float) -> float:
    return sum(group) / len(group) - gap * (len(group) - 1) / 2


def _top(group: list[float], gap: float) -> float:
    return sum(group) / len(group) + gap * (len(group) - 1) / 2
