"""Points and arms that move in a plane towards a goal."""

from typing import Any

import numpy as np

from rtrrl.types import PyTree
from rtrrl.viz.scenes.base import Episode, Picture
from rtrrl.viz.scenes.shapes import (
    BLUE,
    GREEN,
    GREY,
    INK,
    ORANGE,
    PALE,
    PAPER,
    RED,
    Disc,
    Line,
    Scene,
    Shape,
    path,
)

_TRAIL = 40
"""Moments that a trail remembers."""


class Reacher(Picture):
    """An arm of links of length 1, whose angles are all taken from the same direction."""

    def look(self, state: Any) -> PyTree:
        """The angles and the goal."""
        return state.angles, state.goal_xy

    def scene(self, episode: Episode, moment: int) -> Scene:
        """Joint by joint."""
        angles, goal = episode.sight(moment)
        links = np.stack([np.cos(angles), np.sin(angles)], axis=1)
        joints = np.concatenate([np.zeros((1, 2)), np.cumsum(links, axis=0)])
        colors = (BLUE, ORANGE)
        reach = len(angles) + 0.3
        return Scene(
            (-reach, reach, -reach, reach),
            [
                Disc(goal, 0.16, GREEN),
                *(Line(joints[i : i + 2], 0.14, colors[i % 2]) for i in range(len(angles))),
                *(Disc(joint, 0.06, INK) for joint in joints[:-1]),
                Disc(joints[-1], 0.1, RED),
            ],
        )


class Swimmer(Picture):
    """A swimmer and its trail, the goal, and the urchins to keep away from."""

    def look(self, state: Any) -> PyTree:
        """Swimmer, goal and urchins."""
        return state.xy, state.goal_xy, state.urchin_xys

    def scene(self, episode: Episode, moment: int) -> Scene:
        """The window is wide enough for the whole episode."""
        swimmer, goal, urchins = episode.sight(moment)
        trail = episode.sights[0][max(0, moment - _TRAIL) : moment + 1]
        reach = max(1.15, 1.1 * float(np.abs(episode.sights[0]).max()))
        size = reach / 1.15
        shapes: list[Shape] = [Disc(goal, 0.09 * size, GREEN)]
        for urchin in urchins:
            shapes += [
                Line(urchin + np.outer([-1, 1], 0.1 * size * spine), 0.02 * size, INK)
                for spine in (np.array([np.cos(a), np.sin(a)]) for a in np.arange(4) * np.pi / 4)
            ]
            shapes.append(Disc(urchin, 0.06 * size, INK))
        if len(trail) > 1:
            shapes.append(Line(trail, 0.02 * size, PALE))
        shapes.append(Disc(swimmer, 0.07 * size, BLUE))
        return Scene((-reach, reach, -reach, reach), shapes)


class PointRobot(Picture):
    """A point and its trail, and the goal, which it does not see, on a half circle."""

    def look(self, state: Any) -> PyTree:
        """Robot and goal."""
        return state.pos, state.goal

    def scene(self, episode: Episode, moment: int) -> Scene:
        """The goal is as large as it pays to be near: 0.2."""
        robot, goal = episode.sight(moment)
        turn = np.linspace(0, np.pi, 60)
        circle = np.stack([np.cos(turn), np.sin(turn)], axis=1)
        reach = max(1.3, 1.1 * float(np.abs(episode.sights[0]).max()))
        return Scene(
            (-reach, reach, -reach, reach),
            [
                Line(circle, 0.012 * reach, PALE),
                Disc(goal, 0.2, "#a5dccb"),
                Disc(goal, 0.03 * reach, GREEN),
                Disc(path((0, 0))[0], 0.02 * reach, GREY),
                Disc(robot, 0.065 * reach, BLUE),
                Disc(robot, 0.02 * reach, PAPER),
            ],
        )
