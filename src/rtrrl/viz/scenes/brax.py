"""The bodies of Brax as capsules and balls seen from the side, without a graphics library."""

from typing import Any

import equinox as eqx
import numpy as np
from jaxtyping import Float

from rtrrl.environments.brax.adapter import brax_environment
from rtrrl.types import PyTree
from rtrrl.viz.colors import BLUE, GREEN, GREY, ORANGE, PALE, RED, SKY
from rtrrl.viz.scenes.base import Episode, SceneRenderer
from rtrrl.viz.scenes.shapes import Disc, Line, Scene, Shape, path

_SPHERE, _CAPSULE, _CYLINDER = 2, 3, 5
"""MuJoCo's numbers of the shapes that are drawn."""

# The camera's elevation above the side view in radians, half the width of the view in meters, and
# the height of its middle.
_VIEWS = {
    "inverted_pendulum": (0.0, 1.1, 0.3),
    "inverted_double_pendulum": (0.0, 1.4, 0.5),
    "reacher": (np.pi / 2, 0.54, 0.0),
    "pusher": (0.9, 1.2, -0.1),
    "ant": (0.15, 1.7, 0.55),
    "humanoid": (0.15, 1.6, 0.95),
    "halfcheetah": (0.0, 1.5, 0.55),
}
_DEFAULT_VIEW = (0.0, 1.4, 0.75)
_FIXED = ("inverted_pendulum", "inverted_double_pendulum", "reacher", "pusher")
"""Environments in which the camera does not follow the first body."""
_COLORS = (BLUE, ORANGE, SKY, GREEN, RED)


class Bodies(SceneRenderer):
    """The geometries that collide, a color per link; the ground moves below a body that walks."""

    id: str = eqx.field(static=True)
    backend: str = eqx.field(static=True)

    def extract(self, env_state: Any) -> PyTree:
        """Position and orientation of every link."""
        return env_state.x.pos, env_state.x.rot

    def scene(self, episode: Episode, step: int) -> Scene:
        positions, rotations = episode.snapshot(step)
        elevation, half, middle = _VIEWS.get(self.id, _DEFAULT_VIEW)
        x, y = (0.0, 0.0) if self.id in _FIXED else (float(at) for at in positions[0, :2])
        shapes: list[tuple[float, Shape]] = []
        for link, ends, radius in self._solids():
            # a geometry of no link belongs to the ground and does not move
            solid = ends if link < 0 else positions[link] + _rotated(rotations[link], ends)
            flat = _projected(solid - [0, y, 0], elevation)
            color = PALE if link < 0 else _COLORS[link % len(_COLORS)]
            shape = Line(flat, 2 * radius, color) if len(flat) > 1 else Disc(flat[0], radius, color)
            shapes.append((float(solid[:, 1].mean()), shape))
        far_to_near = [shape for _, shape in sorted(shapes, key=lambda pair: -pair[0])]
        window = (x - half, x + half, middle - 0.62 * half, middle + 0.62 * half)
        return Scene(window, [*self._ground(x, half), *far_to_near])

    def _ground(self, center: float, half: float) -> list[Shape]:
        """A line at height 0 with a mark at every half meter."""
        if self.id in _FIXED:
            return []
        marks = np.arange(np.floor(2 * (center - half)), np.ceil(2 * (center + half)) + 1) / 2
        length, width = 0.06 * half, 0.012 * half
        line = Line(path((center - 2 * half, 0), (center + 2 * half, 0)), width, GREY)
        return [line, *(Line(path((x, 0), (x - length, -length)), width, GREY) for x in marks)]

    def _solids(self) -> list[tuple[int, Float[np.ndarray, "ends 3"], float]]:
        """Link, ends in the link's frame, and radius of each sphere, capsule and cylinder."""
        model = brax_environment(self.id, self.backend).sys.mj_model
        geometries = zip(
            model.geom_bodyid,
            model.geom_type,
            model.geom_size,
            model.geom_pos,
            model.geom_quat,
            strict=True,
        )
        solids = []
        for body, kind, size, position, rotation in geometries:
            if kind == _SPHERE:
                solids.append((int(body) - 1, position[None], float(size[0])))
            elif kind in (_CAPSULE, _CYLINDER):
                axis = np.array([[0, 0, -size[1]], [0, 0, size[1]]])
                solids.append((int(body) - 1, position + _rotated(rotation, axis), float(size[0])))
        return solids


def _rotated(
    quaternion: Float[np.ndarray, "4"], points: Float[np.ndarray, "points 3"]
) -> Float[np.ndarray, "points 3"]:
    """q p q⁻¹ of every point, for a unit quaternion (w, x, y, z)."""
    w, axis = quaternion[0], quaternion[1:]
    across = 2 * np.cross(axis, points)
    return points + w * across + np.cross(axis, across)


def _projected(
    points: Float[np.ndarray, "points 3"], elevation: float
) -> Float[np.ndarray, "points 2"]:
    """Seen from the side by a camera at an elevation φ: x, and z cos φ + y sin φ."""
    x, y, z = points.T
    return np.stack([x, z * np.cos(elevation) + y * np.sin(elevation)], axis=1)
