"""Classic control: carts, poles, pendulums and a car between hills."""

from typing import Any

import equinox as eqx
import numpy as np
from jaxtyping import Float

from rtrrl.environments.popgym.stateless_cartpole import CartPoleState
from rtrrl.types import PyTree
from rtrrl.viz.scenes.base import Episode, Picture
from rtrrl.viz.scenes.shapes import (
    BLUE,
    GREEN,
    GREY,
    INK,
    ORANGE,
    PALE,
    RED,
    Disc,
    Line,
    Polygon,
    Scene,
    Shape,
    box,
    path,
    turned,
)


class CartPole(Picture):
    """A cart on its track between the bounds, its pole, and the push it was given."""

    def look(self, state: Any) -> PyTree:
        """Cart and angle."""
        if isinstance(state, CartPoleState):  # POPGym's
            return state.physics[0], state.physics[2]
        return state.x, state.theta

    def scene(self, episode: Episode, moment: int) -> Scene:
        """The pole is drawn at its true length, 1; an angle is positive to the right."""
        x, angle = (float(number) for number in episode.sight(moment))
        push = episode.arrival(moment)
        shapes: list[Shape] = [
            box(-2.65, -0.03, 2.65, 0.0, PALE),
            *(box(end - 0.02, -0.12, end + 0.02, 0.09, GREY) for end in (-2.4, 2.4)),
            *(Disc(path((x + side, 0.06))[0], 0.06, INK) for side in (-0.16, 0.16)),
            box(x - 0.27, 0.08, x + 0.27, 0.32, BLUE),
            Line(path((x, 0.3), (x + np.sin(angle), 0.3 + np.cos(angle))), 0.085, ORANGE),
            Disc(path((x, 0.3))[0], 0.045, INK),
        ]
        if push is not None:
            shapes.append(_arrow((x, 0.2), 0.36 if push == 1 else -0.36))
        return Scene((-2.7, 2.7, -0.25, 1.55), shapes)


def _arrow(at: tuple[float, float], length: float) -> Polygon:
    """A triangle beside a cart, pointing where it was pushed."""
    x, y = at
    base = x + length
    return Polygon(path((base, y - 0.07), (base, y + 0.07), (base + length / 3, y)), RED)


class Acrobot(Picture):
    """Two links of length 1 that hang from a joint, and the height to reach."""

    def look(self, state: Any) -> PyTree:
        """Both angles."""
        return state.joint_angle1, state.joint_angle2

    def scene(self, episode: Episode, moment: int) -> Scene:
        """The first angle is 0 where the link hangs, the second where both are in line."""
        first, second = (float(angle) for angle in episode.sight(moment))
        elbow = _hanging(first)
        tip = elbow + _hanging(first + second)
        rope = [path((x, 1.0), (x + 0.14, 1.0)) for x in np.arange(-2.2, 2.2, 0.28)]
        return Scene(
            (-2.3, 2.3, -2.2, 2.2),
            [
                *(Line(dash, 0.02, GREEN) for dash in rope),
                Line(np.stack([np.zeros(2), elbow]), 0.17, BLUE),
                Line(np.stack([elbow, tip]), 0.17, ORANGE),
                *(Disc(joint, 0.065, INK) for joint in (np.zeros(2), elbow)),
            ],
        )


def _hanging(angle: float) -> Float[np.ndarray, "2"]:
    return np.array([np.sin(angle), -np.cos(angle)])


class Pendulum(Picture):
    """One rod that turns around a joint; its angle is 0 where it stands upright."""

    def look(self, state: Any) -> PyTree:
        """The angle."""
        return state.theta

    def scene(self, episode: Episode, moment: int) -> Scene:
        """The rod, and the torque as an arc around the joint."""
        angle = float(episode.sight(moment))
        shapes: list[Shape] = [
            Disc(path((0, 0))[0], 1.18, "#f6f6f6"),
            Line(turned(path((0, 0), (0, 1)), angle), 0.17, ORANGE),
            Disc(path((0, 0))[0], 0.06, INK),
        ]
        torque = episode.arrival(moment)
        if torque is not None:
            turn = np.linspace(0, float(np.clip(np.ravel(torque)[0], -2, 2)), 24) * 0.75
            arc = 1.1 * np.stack([-np.sin(turn), np.cos(turn)], axis=1)
            shapes.append(Line(arc, 0.05, RED))
        return Scene((-1.25, 1.25, -1.25, 1.25), shapes)


class MountainCar(Picture):
    """A car in a valley, y = 0.45 sin 3x + 0.55, and a flag at the goal."""

    goal: float = eqx.field(static=True)

    def look(self, state: Any) -> PyTree:
        """Where the car is."""
        return state.position

    def scene(self, episode: Episode, moment: int) -> Scene:
        """The car stands on the slope."""
        x = float(episode.sight(moment))
        ground = np.linspace(-1.3, 0.7, 80)
        hill = np.stack([ground, _height(ground)], axis=1)
        earth = np.concatenate([hill, path((0.7, -0.05), (-1.3, -0.05))])
        slope = float(np.arctan(1.35 * np.cos(3 * x)))
        at = (x, float(_height(np.array(x))))
        top = float(_height(np.array(self.goal)))
        body = path((-0.085, 0.035), (0.085, 0.035), (0.06, 0.095), (-0.06, 0.095))
        wheels = turned(path((-0.045, 0.03), (0.045, 0.03)), slope, at)
        return Scene(
            (-1.3, 0.7, -0.05, 1.28),
            [
                Polygon(earth, "#ececec"),
                Line(hill, 0.012, GREY),
                Line(path((self.goal, top), (self.goal, top + 0.2)), 0.01, INK),
                Polygon(
                    path(
                        (self.goal, top + 0.21),
                        (self.goal, top + 0.13),
                        (self.goal + 0.1, top + 0.17),
                    ),
                    GREEN,
                ),
                Polygon(turned(body, slope, at), BLUE),
                *(Disc(wheel, 0.03, INK) for wheel in wheels),
            ],
        )


def _height(x: Float[np.ndarray, "..."]) -> Float[np.ndarray, "..."]:
    return np.asarray(0.45 * np.sin(3 * x) + 0.55)
