"""What a picture is made of: a few shapes in a window of the world, in the world's own units."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, UInt8

INK, GREY, PALE, PAPER = "#262626", "#8c8c8c", "#e4e4e4", "#ffffff"
BLUE, RED, GREEN, ORANGE, SKY = "#0072b2", "#d55e00", "#009e73", "#e69f00", "#56b4e9"
"""Okabe and Ito's colours, which every kind of colour vision tells apart."""


Number = float | int | np.number


class Line(NamedTuple):
    """A path with round ends; its width is in the world's units."""

    points: Float[np.ndarray, "points 2"]
    width: float
    color: str = INK


class Polygon(NamedTuple):
    """An area inside a closed path."""

    points: Float[np.ndarray, "points 2"]
    color: str = INK


class Disc(NamedTuple):
    """A filled circle."""

    centre: Float[np.ndarray, "2"]
    radius: float
    color: str = INK


class Label(NamedTuple):
    """A word, its centre at a point; its height is in the world's units."""

    text: str
    centre: Float[np.ndarray, "2"]
    height: float
    color: str = GREY


class Raster(NamedTuple):
    """A picture of pixels, row 0 on top, that fills the whole window."""

    pixels: UInt8[np.ndarray, "height width 3"]


Shape = Line | Polygon | Disc | Label | Raster


class Scene(NamedTuple):
    """Shapes, the later over the earlier, and the window [x₀, x₁] × [y₀, y₁] that shows them."""

    window: tuple[float, float, float, float]
    shapes: Sequence[Shape]


def path(*points: tuple[Number, Number]) -> Float[np.ndarray, "points 2"]:
    """Points, one after the other."""
    return np.asarray(points, float)


def box(x0: Number, y0: Number, x1: Number, y1: Number, color: str = INK) -> Polygon:
    """An upright rectangle between two corners."""
    return Polygon(path((x0, y0), (x1, y0), (x1, y1), (x0, y1)), color)


def turned(
    points: Float[np.ndarray, "points 2"], angle: Number, about: tuple[Number, Number] = (0, 0)
) -> Float[np.ndarray, "points 2"]:
    """Points turned left by `angle` around 0, then moved to `about`."""
    cos, sin = np.cos(angle), np.sin(angle)
    return points @ np.array([[cos, sin], [-sin, cos]]) + np.asarray(about)
