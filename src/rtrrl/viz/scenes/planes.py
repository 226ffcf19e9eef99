"""Points and arms that move in a plane towards a goal."""

from typing import Any

import numpy as np

from rtrrl.types import PyTree
from rtrrl.viz.colors import BLUE, GREEN, GREY, INK, ORANGE, PALE, PAPER, RED
from rtrrl.viz.scenes.base import Episode, SceneRenderer
from rtrrl.viz.scenes.shapes import Disc, Line, Scene, Shape

_TRAIL = 40
"""The length of a trail in steps."""


class Reacher(SceneRenderer):
    """A goal and an arm of links of length 1, whose angles are all relative to the x axis."""

    def extract(self, env_state: Any) -> PyTree:
        return env_state.angles, env_state.goal_xy

    def scene(self, episode: Episode, step: int) -> Scene:
        angles, goal = episode.snapshot(step)
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


class Swimmer(SceneRenderer):
    """A swimmer with its trail, the goal, and the urchins to avoid.

    The window holds the whole episode.
    """

    def extract(self, env_state: Any) -> PyTree:
        return env_state.xy, env_state.goal_xy, env_state.urchin_xys

    def scene(self, episode: Episode, step: int) -> Scene:
        swimmer, goal, urchins = episode.snapshot(step)
        trail = episode.snapshots[0][max(0, step - _TRAIL) : step + 1]
        reach = max(1.15, 1.1 * float(np.abs(episode.snapshots[0]).max()))
        size = reach / 1.15
        spines = np.arange(4) * np.pi / 4
        shapes: list[Shape] = [Disc(goal, 0.09 * size, GREEN)]
        for urchin in urchins:
            for spine in np.stack([np.cos(spines), np.sin(spines)], axis=1):
                ends = urchin + np.outer([-1, 1], 0.1 * size * spine)
                shapes.append(Line(ends, 0.02 * size, INK))
            shapes.append(Disc(urchin, 0.06 * size, INK))
        if len(trail) > 1:
            shapes.append(Line(trail, 0.02 * size, PALE))
        shapes.append(Disc(swimmer, 0.07 * size, BLUE))
        return Scene((-reach, reach, -reach, reach), shapes)


class PointRobot(SceneRenderer):
    """A point, and the goal on a half circle, which the agent does not observe.

    The large disc around the goal is the region of positive reward, of radius 0.2.
    """

    def extract(self, env_state: Any) -> PyTree:
        return env_state.pos, env_state.goal

    def scene(self, episode: Episode, step: int) -> Scene:
        robot, goal = episode.snapshot(step)
        turn = np.linspace(0, np.pi, 60)
        circle = np.stack([np.cos(turn), np.sin(turn)], axis=1)
        reach = max(1.3, 1.1 * float(np.abs(episode.snapshots[0]).max()))
        return Scene(
            (-reach, reach, -reach, reach),
            [
                Line(circle, 0.012 * reach, PALE),
                Disc(goal, 0.2, "#a5dccb"),
                Disc(goal, 0.03 * reach, GREEN),
                Disc((0, 0), 0.02 * reach, GREY),
                Disc(robot, 0.065 * reach, BLUE),
                Disc(robot, 0.02 * reach, PAPER),
            ],
        )
