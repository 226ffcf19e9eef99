"""Classic control: carts, poles, pendulums and a car between hills."""

from typing import Any

import equinox as eqx
import numpy as np
from jaxtyping import Float

from rtrrl.environments.popgym.stateless_cartpole import CartPoleState
from rtrrl.types import PyTree
from rtrrl.viz.colors import BLUE, GREEN, GREY, INK, ORANGE, PALE, RED
from rtrrl.viz.scenes.base import Episode, SceneRenderer
from rtrrl.viz.scenes.shapes import Disc, Line, Polygon, Scene, Shape, box, path, rotated


class CartPole(SceneRenderer):
    """A cart on its track between the bounds, its pole, and the last push as an arrow.

    The pole has its true length, 1; its angle is positive to the right.
    """

    def extract(self, env_state: Any) -> PyTree:
        if isinstance(env_state, CartPoleState):  # POPGym's
            return env_state.physics[0], env_state.physics[2]
        return env_state.x, env_state.theta

    def scene(self, episode: Episode, step: int) -> Scene:
        x, angle = (float(number) for number in episode.snapshot(step))
        push = episode.last_action(step)
        shapes: list[Shape] = [
            box(-2.65, -0.03, 2.65, 0.0, PALE),
            *(box(end - 0.02, -0.12, end + 0.02, 0.09, GREY) for end in (-2.4, 2.4)),
            *(Disc((x + side, 0.06), 0.06, INK) for side in (-0.16, 0.16)),
            box(x - 0.27, 0.08, x + 0.27, 0.32, BLUE),
            Line(path((x, 0.3), (x + np.sin(angle), 0.3 + np.cos(angle))), 0.085, ORANGE),
            Disc((x, 0.3), 0.045, INK),
        ]
        if push is not None:
            length = 0.36 if push == 1 else -0.36
            base = x + length
            shapes.append(Polygon(path((base, 0.13), (base, 0.27), (base + length / 3, 0.2)), RED))
        return Scene((-2.7, 2.7, -0.25, 1.55), shapes)


class Acrobot(SceneRenderer):
    """Two links of length 1 that hang from a joint, and the height to reach.

    The first angle is 0 where the link hangs, the second where both links are in line.
    """

    def extract(self, env_state: Any) -> PyTree:
        return env_state.joint_angle1, env_state.joint_angle2

    def scene(self, episode: Episode, step: int) -> Scene:
        first, second = (float(angle) for angle in episode.snapshot(step))
        elbow = _hanging(first)
        tip = elbow + _hanging(first + second)
        dashes = [path((x, 1.0), (x + 0.14, 1.0)) for x in np.arange(-2.2, 2.2, 0.28)]
        return Scene(
            (-2.3, 2.3, -2.2, 2.2),
            [
                *(Line(dash, 0.02, GREEN) for dash in dashes),
                Line(np.stack([np.zeros(2), elbow]), 0.17, BLUE),
                Line(np.stack([elbow, tip]), 0.17, ORANGE),
                *(Disc(joint, 0.065, INK) for joint in (np.zeros(2), elbow)),
            ],
        )


def _hanging(angle: float) -> Float[np.ndarray, "2"]:
    return np.array([np.sin(angle), -np.cos(angle)])


class Pendulum(SceneRenderer):
    """A rod that turns around a joint, upright at angle 0, and the torque as an arc."""

    def extract(self, env_state: Any) -> PyTree:
        return env_state.theta

    def scene(self, episode: Episode, step: int) -> Scene:
        angle = float(episode.snapshot(step))
        shapes: list[Shape] = [
            Disc((0, 0), 1.18, "#f6f6f6"),
            Line(rotated(path((0, 0), (0, 1)), angle), 0.17, ORANGE),
            Disc((0, 0), 0.06, INK),
        ]
        torque = episode.last_action(step)
        if torque is not None:
            turn = np.linspace(0, float(np.clip(np.ravel(torque)[0], -2, 2)), 24) * 0.75
            arc = 1.1 * np.stack([-np.sin(turn), np.cos(turn)], axis=1)
            shapes.append(Line(arc, 0.05, RED))
        return Scene((-1.25, 1.25, -1.25, 1.25), shapes)


class MountainCar(SceneRenderer):
    """A car on the slope of a valley, y = 0.45 sin 3x + 0.55, and a flag at the goal."""

    goal: float = eqx.field(static=True)

    def extract(self, env_state: Any) -> PyTree:
        return env_state.position

    def scene(self, episode: Episode, step: int) -> Scene:
        x, goal = float(episode.snapshot(step)), self.goal
        ground = np.linspace(-1.3, 0.7, 80)
        hill = np.stack([ground, _height(ground)], axis=1)
        earth = np.concatenate([hill, path((0.7, -0.05), (-1.3, -0.05))])
        slope = float(np.arctan(1.35 * np.cos(3 * x)))
        at = (x, _height(x))
        top = _height(goal)
        flag = path((goal, top + 0.21), (goal, top + 0.13), (goal + 0.1, top + 0.17))
        body = path((-0.085, 0.035), (0.085, 0.035), (0.06, 0.095), (-0.06, 0.095))
        wheels = rotated(path((-0.045, 0.03), (0.045, 0.03)), slope, at)
        return Scene(
            (-1.3, 0.7, -0.05, 1.28),
            [
                Polygon(earth, "#ececec"),
                Line(hill, 0.012, GREY),
                Line(path((goal, top), (goal, top + 0.2)), 0.01, INK),
                Polygon(flag, GREEN),
                Polygon(rotated(body, slope, at), BLUE),
                *(Disc(wheel, 0.03, INK) for wheel in wheels),
            ],
        )


def _height(x: Any) -> Any:
    return 0.45 * np.sin(3 * x) + 0.55
