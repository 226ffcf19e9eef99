"""The colors of all figures and films, and the lines of curves."""

from typing import Any

INK, GREY, PALE, PAPER = "#262626", "#8c8c8c", "#e4e4e4", "#ffffff"
GRID = "#e6e6e6"

# The palette of Okabe and Ito, distinguishable with every kind of color vision, without yellow.
BLUE, RED, GREEN, PINK = "#0072b2", "#d55e00", "#009e73", "#cc79a7"
ORANGE, SKY, BLACK = "#e69f00", "#56b4e9", "#000000"
PALETTE = (BLUE, RED, GREEN, PINK, ORANGE, SKY, BLACK)

DASHES = (
    "-",
    (0, (4.0, 1.5)),
    (0, (1.0, 1.3)),
    (0, (5.0, 1.5, 1.0, 1.5)),
    (0, (5.0, 1.5, 1.0, 1.5, 1.0, 1.5)),
)
"""Solid, dashed, dotted, with a dot between dashes, with two; lengths in widths of the line."""


def line_style(index: int) -> dict[str, Any]:
    """How the curve of this number is drawn; the first 35 differ in color or in dashes."""
    dashes, color = divmod(index, len(PALETTE))
    return {"color": PALETTE[color], "linestyle": DASHES[dashes % len(DASHES)]}
