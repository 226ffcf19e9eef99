"""The frame of the figures of runs: their size, axes and legends, and their file."""

import io
import math
import re
import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.lines import Line2D
from matplotlib.textpath import text_to_path
from matplotlib.ticker import FuncFormatter, MaxNLocator
from matplotlib.transforms import ScaledTranslation
from PIL import Image

from rtrrl.errors import RtrrlError
from rtrrl.utils.files import write_atomic
from rtrrl.viz.colors import GREY, GRID, INK

MAX_WIDTH = 1800
"""Of a picture, in pixels."""
MAX_BYTES = 1_000_000
"""Of a .png file."""

TITLE, LABEL, TICK, NOTE = 13.0, 9.5, 10.0, 8.0
"""Sizes of fonts, in points."""
GAP = 7.0
"""Between a panel, its labels and its title, in points."""
POINTS = 72
"""In an inch."""
COLUMN_OF_LABELS = 6
"""A legend with more labels may have more columns."""

_LAYOUT = ConstrainedLayoutEngine(w_pad=0.1, h_pad=0.1)


class Legend(NamedTuple):
    """What is written above a panel, or above several side by side."""

    title: str
    lines: Sequence[Line2D]
    left: Axes
    right: Axes


def new_figure(width: float, height: float) -> Figure:
    """A figure of this size in inches, whose panels make room for their labels."""
    return Figure(figsize=(width, height), dpi=min(200.0, MAX_WIDTH / width), layout=_LAYOUT)


def style(panel: Axes, steps: int) -> None:
    """Thin axes behind the data, and an x axis of so many steps."""
    panel.spines[["top", "right"]].set_visible(False)
    panel.spines[["left", "bottom"]].set_color(GREY)
    panel.tick_params(which="both", colors=INK, color=GREY, labelsize=TICK)
    panel.grid(axis="y", color=GRID, linewidth=0.8)
    panel.set_axisbelow(True)
    panel.margins(y=0.06)
    panel.set_xlim(0, 1.02 * steps)
    panel.xaxis.set_major_locator(MaxNLocator(6, steps=[1, 2, 2.5, 5, 10]))
    panel.xaxis.set_major_formatter(FuncFormatter(lambda steps, _: _short(steps)))


def add_legends(figure: Figure, legends: Sequence[Legend]) -> None:
    """Write legends, by whose height the figure grows."""
    _LAYOUT.execute(figure)  # shows how wide a legend can be
    heights: dict[int, float] = {}
    for legend in legends:
        spec = legend.left.get_subplotspec()
        row = spec.rowspan.start if spec else 0
        heights[row] = max(heights.get(row, 0.0), _add_legend(figure, legend))
    figure.set_figheight(figure.get_figheight() + sum(heights.values()))


def _add_legend(figure: Figure, legend: Legend) -> float:
    """The title, below it the labels in columns, below them the panel; returns their height."""
    left, right = legend.left.get_position().x0, legend.right.get_position().x1
    width = POINTS * figure.get_figwidth() * (right - left)
    dashed = any(line.get_linestyle() != "-" for line in legend.lines)
    handle = 3.2 if dashed else 1.4
    gaps = LABEL * (handle + 0.8 + 1.5)  # of a column: its line, and the spaces around
    labels, columns = _arranged([f"{line.get_label()}" for line in legend.lines], width, gaps)
    drawn = legend.left.legend(
        legend.lines,
        labels,
        ncols=columns,
        loc="lower left",
        bbox_to_anchor=(0.0, 1.0),
        bbox_transform=legend.left.transAxes
        + ScaledTranslation(0.0, GAP / POINTS, figure.dpi_scale_trans),
        frameon=False,
        borderpad=0.0,
        borderaxespad=0.0,
        handlelength=handle,
        handletextpad=0.8,
        columnspacing=1.5,
        fontsize=LABEL,
        labelcolor=INK,
    )
    for text in drawn.get_texts():
        text.set_parse_math(False)
    drawn.set_in_layout(False)  # the title makes room for it
    title = wrap(legend.title, width, TITLE, weight="bold")
    height = 2 * GAP + POINTS * drawn.get_window_extent().height / figure.dpi
    legend.left.set_title(
        title,
        loc="left",
        pad=height,
        fontsize=TITLE,
        fontweight="bold",
        color=INK,
        parse_math=False,
    )
    return (height + 1.2 * TITLE * (1 + title.count("\n"))) / POINTS


def _arranged(labels: Sequence[str], width: float, gaps: float) -> tuple[list[str], int]:
    """The labels, wrapped, and in how many columns they are lowest."""

    def arrangement(columns: int) -> tuple[list[str], int, float]:
        wrapped = [wrap(label, width / columns - gaps, LABEL) for label in labels]
        lines = [1.5 + label.count("\n") for label in wrapped]  # half a line between labels
        return wrapped, columns, max(map(sum, np.array_split(lines, columns)))

    most = math.ceil(len(labels) / COLUMN_OF_LABELS)
    candidates = map(arrangement, range(1, most + 1))
    wrapped, columns, _ = min(candidates, key=lambda candidate: candidate[2])
    return wrapped, columns


def wrap(text: str, width: float, size: float, weight: str = "normal") -> str:
    """The text in lines that are at most so many points wide in this size of the font."""
    wrapped = text = re.sub(r"[\t\n\v\f\r]+", " ", text)
    characters = len(text)
    while characters > 1 and (measured := text_width(wrapped, size, weight)) > width:
        longest = max(map(len, wrapped.split("\n")))
        characters = max(1, min(characters - 1, int(longest * width / measured)))
        wrapped = textwrap.fill(text, characters)
    return wrapped


def text_width(text: str, size: float, weight: str = "normal") -> float:
    """The width of the widest line, in points."""
    font = FontProperties(size=size, weight=weight)
    measure = text_to_path.get_text_width_height_descent
    return max(measure(line, font, ismath=False)[0] for line in text.split("\n"))


def add_note(figure: Figure, text: str) -> None:
    """Small text in the lower right corner."""
    figure.supxlabel(text, x=0.99, ha="right", fontsize=NOTE, color=GREY)


def _short(steps: int | float) -> str:
    """The label of a number of steps on an axis.

    >>> [_short(steps) for steps in (0, 500, 20_000, 1_500_000)]
    ['0', '500', '20k', '1.5M']
    """
    for unit, suffix in ((1e6, "M"), (1e3, "k")):
        if abs(steps) >= unit:
            return f"{steps / unit:g}{suffix}"
    return f"{steps:g}"


def checked(path: str | Path | None) -> Path | None:
    """**Raises** `RtrrlError` where no figure can be written there for its suffix."""
    if path is not None and Path(path).suffix not in (".png", ".svg", ".pdf"):
        raise RtrrlError(f"cannot draw into {path}: give a name that ends in .png, .svg or .pdf")
    return None if path is None else Path(path)


def write(figure: Figure, path: Path | None) -> Figure:
    """Write the figure, if there is a path, as a picture within `MAX_WIDTH` and `MAX_BYTES`."""
    if path is not None:
        suffix, dpi = path.suffix[1:], figure.dpi
        picture = _picture(figure, suffix, dpi)
        while suffix == "png" and len(picture) > MAX_BYTES:
            picture = _in_256_colors(picture)
            if len(picture) > MAX_BYTES:
                dpi *= 0.8
                picture = _picture(figure, suffix, dpi)
        write_atomic(path, picture)
    return figure


def _picture(figure: Figure, suffix: str, dpi: float) -> bytes:
    content = io.BytesIO()
    figure.savefig(content, format=suffix, dpi=dpi, facecolor="white")
    return content.getvalue()


def _in_256_colors(png: bytes) -> bytes:
    """The same picture, in a third of the bytes."""
    content = io.BytesIO()
    with Image.open(io.BytesIO(png)) as picture:
        reduced = picture.convert("RGB").quantize(256, dither=Image.Dither.NONE)
        reduced.save(content, "png", dpi=picture.info["dpi"])
    return content.getvalue()
