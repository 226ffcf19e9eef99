"""Grid worlds: mazes, DeepSea, Catch, and the games of MinAtar."""

from typing import Any

import equinox as eqx
import numpy as np
from jaxtyping import Bool, Float

from rtrrl.environments.memory.tmaze import NORTH, SOUTH
from rtrrl.types import PyTree
from rtrrl.viz.colors import BLUE, GREEN, GREY, INK, ORANGE, PAPER, PINK, RED, SKY
from rtrrl.viz.scenes.base import Episode, SceneRenderer
from rtrrl.viz.scenes.shapes import Disc, Label, Number, Polygon, Scene, Shape, box

FLOOR, WALL = "#f0f0f0", "#4d4d4d"


def _cell(row: Number, column: Number, color: str, gap: float = 0.03) -> Polygon:
    """A cell of a grid whose row 0 is on top: y = −row."""
    half = 0.5 - gap
    return box(column - half, -row - half, column + half, -row + half, color)


def _disc(row: Number, column: Number, color: str, radius: float = 0.32) -> Disc:
    return Disc((column, -row), radius, color)


def _window(rows: int, columns: int) -> tuple[float, float, float, float]:
    return (-0.7, columns - 0.3, 0.3 - rows, 0.7)


class TMaze(SceneRenderer):
    """The corridor with both arms at its end; the goal's arm is green.

    Of a long corridor the part around the agent is shown.
    """

    length: int = eqx.field(static=True)

    def extract(self, env_state: Any) -> PyTree:
        return env_state.position, env_state.north

    def scene(self, episode: Episode, step: int) -> Scene:
        position, north = (int(number) for number in episode.snapshot(step))
        # the state does not say which arm the agent turned into: its last action does
        turned = episode.ended and step == episode.steps and position == self.length
        side = {NORTH: -1, SOUTH: 1}.get(int(episode.actions[step - 1]), 0) if turned else 0
        shown = 13
        first = max(0, min(position - shown // 2, self.length + 1 - shown))
        last = min(self.length, first + shown - 1)
        goal = -1 if north else 1
        shapes: list[Shape] = [_cell(0, column, FLOOR) for column in range(first, last + 1)]
        if first == 0:
            shapes += [_cell(0, 0, SKY), Label("↑" if north else "↓", (0, 0.78), 0.5, INK)]
        if last == self.length:
            shapes += [_cell(row, last, GREEN if row == goal else FLOOR) for row in (-1, 1)]
        shapes.append(_disc(side, position, BLUE))
        return Scene((first - 0.7, last + 0.7, -1.7, 1.7), shapes)


class Maze(SceneRenderer):
    """Open cells and walls, the agent and the goal; what the agent observes is lighter."""

    cells: tuple[str, ...] = eqx.field(static=True)
    """Rows of cells: a space is open, an x a wall."""
    sight: int = eqx.field(static=True, default=0)
    """How far the agent observes cells, in every direction."""

    def extract(self, env_state: Any) -> PyTree:
        return env_state.pos, env_state.goal

    def scene(self, episode: Episode, step: int) -> Scene:
        (row, column), (goal_row, goal_column) = episode.snapshot(step)
        rows, columns = len(self.cells), len(self.cells[0])
        walls = [(i, j) for i in range(rows) for j in range(columns) if self.cells[i][j] == "x"]
        around = range(-self.sight, self.sight + 1) if self.sight else ()
        near = [(row + i, column + j) for i in around for j in around]
        return Scene(
            _window(rows, columns),
            [
                box(-0.5, 0.5 - rows, columns - 0.5, 0.5, FLOOR),
                *(_cell(i, j, WALL, gap=0.0) for i, j in walls),
                *(
                    _cell(i, j, SKY if self.cells[i][j] == " " else "#35627a", gap=0.0)
                    for i, j in near
                ),
                _cell(goal_row, goal_column, GREEN, gap=0.08),
                _disc(row, column, BLUE, 0.36),
            ],
        )


def four_rooms() -> tuple[str, ...]:
    """The rooms of Sutton, Precup and Singh (1999), in 13 × 13 cells."""
    cells = np.full((13, 13), "x")
    cells[1:6, 1:6] = cells[1:7, 7:12] = cells[7:12, 1:6] = cells[8:12, 7:12] = " "
    for door in ((3, 6), (10, 6), (6, 2), (7, 9)):
        cells[door] = " "
    return tuple("".join(row) for row in cells)


def pillars(size: int = 9) -> tuple[str, ...]:
    """A room with a pillar at every second cell of every second row, and a wall around it."""
    cells = np.full((size + 2, size + 2), "x")
    cells[1:-1, 1:-1] = " "
    cells[2:-2:2, 2:-2:2] = "x"
    return tuple("".join(row) for row in cells)


class DeepSea(SceneRenderer):
    """`size` × `size` cells of water, the agent sinking, and the treasure at the lower right.

    Visited cells are paler.
    """

    size: int = eqx.field(static=True)

    def extract(self, env_state: Any) -> PyTree:
        return env_state.row, env_state.column

    def scene(self, episode: Episode, step: int) -> Scene:
        visited = {tuple(int(n) for n in episode.snapshot(t)) for t in range(step + 1)}
        row, column = (int(number) for number in episode.snapshot(step))
        last = self.size - 1
        return Scene(
            _window(self.size, self.size),
            [
                *(
                    _cell(i, j, "#9fd0ee" if (i, j) in visited else _depth(i / self.size), gap=0.0)
                    for i in range(self.size)
                    for j in range(self.size)
                ),
                _disc(last, last, ORANGE, 0.3),
                _disc(min(row, last), column, INK, 0.36),  # the episode ends below the last row
            ],
        )


def _depth(depth: float) -> str:
    """From the blue of the surface to that of the ground."""
    top, bottom = np.array([61, 145, 196]), np.array([12, 52, 92])
    red, green, blue = (top + depth * (bottom - top)).astype(int)
    return f"#{red:02x}{green:02x}{blue:02x}"


class Catch(SceneRenderer):
    """A ball that falls and a paddle that moves, green where it has caught the ball."""

    rows: int = eqx.field(static=True, default=10)
    columns: int = eqx.field(static=True, default=5)

    def extract(self, env_state: Any) -> PyTree:
        return env_state.ball_x, env_state.ball_y, env_state.paddle_x, env_state.paddle_y

    def scene(self, episode: Episode, step: int) -> Scene:
        x, y, paddle, bottom = (int(number) for number in episode.snapshot(step))
        color = GREEN if (x, y) == (paddle, bottom) else BLUE
        return Scene(
            _window(self.rows, self.columns),
            [
                *(_cell(i, j, FLOOR) for i in range(self.rows) for j in range(self.columns)),
                box(paddle - 0.46, -bottom - 0.46, paddle + 0.46, -bottom - 0.2, color),
                _disc(y, x, RED, 0.3),
            ],
        )


_CHANNELS = (SKY, ORANGE, "#5b5b5b", "#c8b560", GREEN, RED, PINK, BLUE, PAPER, GREY)


class MinAtar(SceneRenderer):
    """The observed board of 10 × 10 cells, a color per channel, the first channels on top.

    Channel 0 is the player in all games.
    """

    channels: int = eqx.field(static=True)

    def scene(self, episode: Episode, step: int) -> Scene:
        board: Float[np.ndarray, "10 10 channels"] = episode.observations[step].reshape(
            10, 10, self.channels
        )
        shapes: list[Shape] = [box(-0.55, -9.55, 9.55, 0.55, "#111318")]
        for channel in reversed(range(self.channels)):
            filled: Bool[np.ndarray, "10 10"] = board[..., channel] > 0
            color = _CHANNELS[channel % len(_CHANNELS)]
            shapes += [_cell(i, j, color, gap=0.05) for i, j in np.argwhere(filled).tolist()]
        return Scene((-0.6, 9.6, -9.6, 0.6), shapes)
