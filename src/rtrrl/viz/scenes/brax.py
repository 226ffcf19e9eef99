"""The bodies of Brax, as capsules and balls seen from the side: no graphics library is needed."""

from typing import Any

import equinox as eqx
import numpy as np
from jaxtyping import Float

from rtrrl.environments.brax.adapter import world_of_brax
from rtrrl.types import PyTree
from rtrrl.viz.scenes.base import Episode, Picture
from rtrrl.viz.scenes.shapes import (
    BLUE,
    GREEN,
    GREY,
    ORANGE,
    PALE,
    RED,
    SKY,
    Disc,
    Line,
    Scene,
    Shape,
    path,
)

_SPHERE, _CAPSULE, _CYLINDER = 2, 3, 5
"""MuJoCo's numbers of the shapes that are drawn."""

# How far the eye is raised above the side view, in radians, and how much of the world is seen:
# half its width, and the height of its middle.
_VIEWS = {
    "inverted_pendulum": (0.0, 1.1, 0.3),
    "inverted_double_pendulum": (0.0, 1.4, 0.5),
    "reacher": (np.pi / 2, 0.54, 0.0),
    "pusher": (0.9, 1.2, -0.1),
    "ant": (0.15, 1.7, 0.55),
    "humanoid": (0.15, 1.6, 0.95),
    "halfcheetah": (0.0, 1.5, 0.55),
}
_VIEW = (0.0, 1.4, 0.75)
_STILL = ("inverted_pendulum", "inverted_double_pendulum", "reacher", "pusher")
"""Where the eye does not follow the first body."""
_COLORS = (BLUE, ORANGE, SKY, GREEN, RED)


class Bodies(Picture):
    """What collides, link by link; the ground passes by beneath a body that walks."""

    id: str = eqx.field(static=True)
    backend: str = eqx.field(static=True)

    def look(self, state: Any) -> PyTree:
        """Where each link is and how it is turned."""
        return state.x.pos, state.x.rot

    def scene(self, episode: Episode, moment: int) -> Scene:
        """The farther body first."""
        places, turns = episode.sight(moment)
        raised, half, middle = _VIEWS.get(self.id, _VIEW)
        eye = 0.0 if self.id in _STILL else float(places[0, 0])
        across = 0.0 if self.id in _STILL else float(places[0, 1])
        shapes: list[tuple[float, Shape]] = []
        for link, ends, radius in self._solids():
            # what belongs to no link stands still
            solid = ends if link < 0 else places[link] + _rotated(turns[link], ends)
            flat = _seen(solid - [0, across, 0], raised)
            color = PALE if link < 0 else _COLORS[link % len(_COLORS)]
            shape = Line(flat, 2 * radius, color) if len(flat) > 1 else Disc(flat[0], radius, color)
            shapes.append((float(solid[:, 1].mean()), shape))
        ordered = [shape for _, shape in sorted(shapes, key=lambda pair: -pair[0])]
        window = (eye - half, eye + half, middle - 0.62 * half, middle + 0.62 * half)
        return Scene(window, [*self._ground(eye, half, raised), *ordered])

    def _ground(self, eye: float, half: float, raised: float) -> list[Shape]:
        """A line at height 0 with a mark at every half metre."""
        if self.id in _STILL:
            return []
        marks = np.arange(np.floor(2 * (eye - half)), np.ceil(2 * (eye + half)) + 1) / 2
        long = 0.06 * half
        line = Line(path((eye - 2 * half, 0), (eye + 2 * half, 0)), 0.012 * half, GREY)
        return [line, *(Line(path((x, 0), (x - long, -long)), 0.012 * half, GREY) for x in marks)]

    def _solids(self) -> list[tuple[int, Float[np.ndarray, "ends 3"], float]]:
        """Of each sphere and capsule its link, its ends in the link's frame, and its radius."""
        model = world_of_brax(self.id, self.backend).sys.mj_model
        solids = []
        for body, kind, size, place, turn in zip(
            model.geom_bodyid,
            model.geom_type,
            model.geom_size,
            model.geom_pos,
            model.geom_quat,
            strict=True,
        ):
            if kind == _SPHERE:
                solids.append((int(body) - 1, place[None], float(size[0])))
            elif kind in (_CAPSULE, _CYLINDER):
                axis = np.array([[0, 0, -size[1]], [0, 0, size[1]]])
                solids.append((int(body) - 1, place + _rotated(turn, axis), float(size[0])))
        return solids


def _rotated(
    quaternion: Float[np.ndarray, "4"], points: Float[np.ndarray, "points 3"]
) -> Float[np.ndarray, "points 3"]:
    """q p q⁻¹ of every point, for a unit quaternion (w, x, y, z)."""
    w, axis = quaternion[0], quaternion[1:]
    across = 2 * np.cross(axis, points)
    return points + w * across + np.cross(axis, across)


def _seen(points: Float[np.ndarray, "points 3"], raised: float) -> Float[np.ndarray, "points 2"]:
    """From the side, from an eye raised by an angle: x, and z cos φ + y sin φ."""
    x, y, z = points.T
    return np.stack([x, z * np.cos(raised) + y * np.sin(raised)], axis=1)
