"""The figures of docs/performance.md: time and memory on logarithmic axes."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter
from scaling import EXPONENTS, curve

COLORS = {  # Okabe and Ito's, which can be distinguished with any color vision, without the yellow
    "C loop": "#262626",
    "CT-RNN + RFLO": "#0072B2",
    "RTU + diagonal RTRL": "#D55E00",
    "CT-RNN + SnAp-1": "#009E73",
    "CT-RNN + UORO": "#CC79A7",
    "CT-RNN + dense RTRL": "#E69F00",
    "CT-RNN + TBPTT": "#56B4E9",
}
XLABELS = {"units": "units n", "seeds": "seeds", "window": "window, steps"}
YLABELS = ("µs a step", "bytes")


def figure(points: list[dict[str, Any]], study: str) -> Figure:
    """One study: a line for each series, with the theoretical slope as a dotted line."""
    drawn = Figure(figsize=(12, 4.2), layout="constrained")
    panels = drawn.subplots(1, 2)
    for which, axes in enumerate(panels):
        for (where, name), slopes in EXPONENTS.items():
            sizes, *values = curve(points, study, name)
            if where == study and sizes:
                _plot(axes, name, sizes, values[which], slopes[which])
        _format(axes, XLABELS[study], YLABELS[which])
    lines = panels[0].get_legend_handles_labels()
    drawn.legend(*lines, loc="outside right center", frameon=False, fontsize=9.5)
    return drawn


def _plot(axes: Axes, name: str, sizes: Sequence[int], values: Sequence[float], slope: int) -> None:
    color = COLORS[name]
    axes.plot(sizes, values, color=color, linewidth=1.8, marker="o", markersize=3.5, label=name)
    upper = np.array(sizes[len(sizes) // 2 :], float)
    axes.plot(upper, values[-1] * (upper / upper[-1]) ** slope, ":", color=color, linewidth=1.6)


def _format(axes: Axes, xlabel: str, ylabel: str) -> None:
    axes.set_xscale("log", base=2)
    axes.set_yscale("log")
    low, high = axes.get_ylim()
    if high < 100 * low:  # on a narrow axis, flat lines would look steep
        middle = (low * high) ** 0.5
        axes.set_ylim(middle / 10, middle * 10)
    axes.tick_params(labelsize=9)
    axes.set_xlabel(xlabel, fontsize=11)
    axes.set_ylabel(ylabel, fontsize=11)
    axes.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:,.0f}"))
    axes.yaxis.set_major_locator(LogLocator(10, numticks=12))
    axes.yaxis.set_minor_formatter(NullFormatter())
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(axis="y", color="#e6e6e6", linewidth=0.8)
    axes.set_axisbelow(True)
