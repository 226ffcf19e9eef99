"""Worlds of cells: mazes, a sea, a ball to catch, and the games of MinAtar."""

from typing import Any

import equinox as eqx
import numpy as np
from jaxtyping import Bool, Float

from rtrrl.environments.memory.tmaze import NORTH, SOUTH
from rtrrl.types import PyTree
from rtrrl.viz.scenes.base import Episode, Picture
from rtrrl.viz.scenes.shapes import (
    BLUE,
    GREEN,
    GREY,
    INK,
    ORANGE,
    PAPER,
    RED,
    SKY,
    Disc,
    Label,
    Number,
    Polygon,
    Scene,
    Shape,
    box,
    path,
)

FLOOR, WALL = "#f0f0f0", "#4d4d4d"


def _cell(row: Number, column: Number, color: str, gap: float = 0.03) -> Polygon:
    """A cell of a grid whose row 0 is on top: y = −row."""
    half = 0.5 - gap
    return box(column - half, -row - half, column + half, -row + half, color)


def _disc(row: Number, column: Number, color: str, radius: float = 0.32) -> Disc:
    return Disc(path((column, -row))[0], radius, color)


def _window(rows: int, columns: int) -> tuple[float, float, float, float]:
    return (-0.7, columns - 0.3, 0.3 - rows, 0.7)


class TMaze(Picture):
    """The corridor, both arms at its end, and in the sign's colour where the goal is.

    Of a long corridor the part around the agent is shown.
    """

    length: int = eqx.field(static=True)

    def look(self, state: Any) -> PyTree:
        """Where the agent is, and whether the goal lies north."""
        return state.position, state.north

    def scene(self, episode: Episode, moment: int) -> Scene:
        """The state does not say which arm the agent turned into: its last action does."""
        position, north = (int(number) for number in episode.sight(moment))
        action = episode.arrival(moment)
        over = episode.ended and moment == episode.steps
        side = {NORTH: -1, SOUTH: 1}.get(int(action), 0) if over and action is not None else 0
        side = side if position == self.length else 0
        shown = 13
        first = max(0, min(position - shown // 2, self.length + 1 - shown))
        last = min(self.length, first + shown - 1)
        goal = -1 if north else 1
        shapes: list[Shape] = [_cell(0, column, FLOOR) for column in range(first, last + 1)]
        if first == 0:
            shapes += [_cell(0, 0, SKY), Label("↑" if north else "↓", path((0, 0.78))[0], 0.5, INK)]
        if last == self.length:
            shapes += [_cell(row, last, GREEN if row == goal else FLOOR) for row in (-1, 1)]
        shapes.append(_disc(side, position, BLUE))
        return Scene((first - 0.7, last + 0.7, -1.7, 1.7), shapes)


class Maze(Picture):
    """Open cells and walls, the agent and the goal; a lighter ground is what the agent sees."""

    cells: tuple[str, ...] = eqx.field(static=True)
    """Rows of cells: a space is open, an x a wall."""
    sight: int = eqx.field(static=True, default=0)
    """How far it sees, in cells."""

    def look(self, state: Any) -> PyTree:
        """Agent and goal, as row and column."""
        return state.pos, state.goal

    def scene(self, episode: Episode, moment: int) -> Scene:
        """All walls, then what is among them."""
        (row, column), (north, west) = episode.sight(moment)
        rows, columns = len(self.cells), len(self.cells[0])
        shapes: list[Shape] = [box(-0.5, 0.5 - rows, columns - 0.5, 0.5, FLOOR)]
        shapes += [
            _cell(i, j, WALL, gap=0.0)
            for i, line in enumerate(self.cells)
            for j, cell in enumerate(line)
            if cell == "x"
        ]
        if self.sight:
            near = [
                (i, j)
                for i in range(row - self.sight, row + self.sight + 1)
                for j in range(column - self.sight, column + self.sight + 1)
            ]
            shapes += [
                _cell(i, j, SKY if self.cells[i][j] == " " else "#35627a", gap=0.0) for i, j in near
            ]
        shapes += [_cell(north, west, GREEN, gap=0.08), _disc(row, column, BLUE, 0.36)]
        return Scene(_window(rows, columns), shapes)


def four_rooms() -> tuple[str, ...]:
    """The rooms of Sutton, Precup and Singh (1999), in 13 × 13 cells."""
    cells = np.full((13, 13), "x")
    for rows, columns in (
        ((1, 6), (1, 6)),
        ((1, 7), (7, 12)),
        ((7, 12), (1, 6)),
        ((8, 12), (7, 12)),
    ):
        cells[slice(*rows), slice(*columns)] = " "
    for door in ((3, 6), (10, 6), (6, 2), (7, 9)):
        cells[door] = " "
    return tuple("".join(row) for row in cells)


def pillars(size: int = 9) -> tuple[str, ...]:
    """A room with a pillar at every second cell of every second row, and a wall around it."""
    cells = np.full((size + 2, size + 2), "x")
    cells[1:-1, 1:-1] = " "
    cells[2:-2:2, 2:-2:2] = "x"
    return tuple("".join(row) for row in cells)


class DeepSea(Picture):
    """A sea of `size` × `size` cells, a diver that sinks, and a treasure at the right bottom."""

    size: int = eqx.field(static=True)

    def look(self, state: Any) -> PyTree:
        """Where the diver is."""
        return state.row, state.column

    def scene(self, episode: Episode, moment: int) -> Scene:
        """Cells passed through are paler; below the last row the sea ends."""
        row, column = (int(number) for number in episode.sight(moment))
        passed = {tuple(int(n) for n in episode.sight(at)) for at in range(moment + 1)}
        shapes: list[Shape] = [
            _cell(i, j, "#9fd0ee" if (i, j) in passed else _depth(i / self.size), gap=0.0)
            for i in range(self.size)
            for j in range(self.size)
        ]
        shapes.append(_disc(self.size - 1, self.size - 1, ORANGE, 0.3))
        shapes.append(_disc(min(row, self.size - 1), column, INK, 0.36))
        return Scene(_window(self.size, self.size), shapes)


def _depth(depth: float) -> str:
    """From the blue of the surface to that of the ground."""
    top, bottom = np.array([61, 145, 196]), np.array([12, 52, 92])
    red, green, blue = (top + depth * (bottom - top)).astype(int)
    return f"#{red:02x}{green:02x}{blue:02x}"


class Catch(Picture):
    """A ball that falls and a paddle that moves."""

    rows: int = eqx.field(static=True, default=10)
    columns: int = eqx.field(static=True, default=5)

    def look(self, state: Any) -> PyTree:
        """Both columns, and the rows of ball and paddle."""
        return state.ball_x, state.ball_y, state.paddle_x, state.paddle_y

    def scene(self, episode: Episode, moment: int) -> Scene:
        """The paddle turns green where it caught the ball."""
        x, y, paddle, bottom = (int(number) for number in episode.sight(moment))
        ground = [_cell(i, j, FLOOR) for i in range(self.rows) for j in range(self.columns)]
        caught = (x, y) == (paddle, bottom)
        return Scene(
            _window(self.rows, self.columns),
            [
                *ground,
                box(
                    paddle - 0.46,
                    -bottom - 0.46,
                    paddle + 0.46,
                    -bottom - 0.2,
                    GREEN if caught else BLUE,
                ),
                _disc(y, x, RED, 0.3),
            ],
        )


_CHANNELS = (SKY, ORANGE, "#5b5b5b", "#c8b560", GREEN, RED, "#cc79a7", BLUE, PAPER, GREY)


class MinAtar(Picture):
    """A board of 10 × 10 cells, each channel of it in a colour, the first ones on top."""

    channels: int = eqx.field(static=True)

    def look(self, state: Any) -> PyTree:
        """Nothing: the board is what is observed."""
        return ()

    def scene(self, episode: Episode, moment: int) -> Scene:
        """Channel 0 is the player in all games."""
        board: Float[np.ndarray, "10 10 channels"] = episode.observations[moment].reshape(
            10, 10, self.channels
        )
        shapes: list[Shape] = [box(-0.55, -9.55, 9.55, 0.55, "#111318")]
        for channel in reversed(range(self.channels)):
            filled: Bool[np.ndarray, "10 10"] = board[..., channel] > 0
            color = _CHANNELS[channel % len(_CHANNELS)]
            shapes += [_cell(i, j, color, gap=0.05) for i, j in np.argwhere(filled).tolist()]
        return Scene((-0.6, 9.6, -9.6, 0.6), shapes)
