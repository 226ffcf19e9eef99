"""The shapes that a scene is made of, in a window of the plane, in the environment's own units."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, UInt8

from rtrrl.viz.colors import GREY, INK

Number = float | int | np.number
Point = tuple[Number, Number] | Float[np.ndarray, "2"]


class Line(NamedTuple):
    """A path with round ends; its width is in the environment's units."""

    points: Float[np.ndarray, "points 2"]
    width: float
    color: str = INK


class Polygon(NamedTuple):
    """The area inside a closed path."""

    points: Float[np.ndarray, "points 2"]
    color: str = INK


class Disc(NamedTuple):
    """A filled circle."""

    center: Point
    radius: float
    color: str = INK


class Label(NamedTuple):
    """A word centered at a point; its height is in the environment's units."""

    text: str
    center: Point
    height: float
    color: str = GREY


class Raster(NamedTuple):
    """An image, row 0 on top, that fills the whole window."""

    pixels: UInt8[np.ndarray, "height width 3"]


Shape = Line | Polygon | Disc | Label | Raster


class Scene(NamedTuple):
    """Shapes, the later over the earlier, in the visible window [x₀, x₁] × [y₀, y₁]."""

    window: tuple[float, float, float, float]
    shapes: Sequence[Shape]


def path(*points: tuple[Number, Number]) -> Float[np.ndarray, "points 2"]:
    """An array of points."""
    return np.asarray(points, float)


def box(x0: Number, y0: Number, x1: Number, y1: Number, color: str = INK) -> Polygon:
    """An upright rectangle between two corners."""
    return Polygon(path((x0, y0), (x1, y0), (x1, y1), (x0, y1)), color)


def rotated(
    points: Float[np.ndarray, "points 2"], angle: Number, about: tuple[Number, Number] = (0, 0)
) -> Float[np.ndarray, "points 2"]:
    """Points rotated counterclockwise by `angle` around 0, then moved by `about`."""
    cos, sin = np.cos(angle), np.sin(angle)
    return points @ np.array([[cos, sin], [-sin, cos]]) + np.asarray(about)
