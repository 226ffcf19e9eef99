"""Films of episodes: the scene above, the agent's value and TD error below."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, UInt8
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from rtrrl.viz.colors import BLUE, GREY, INK, PALE, PAPER, RED
from rtrrl.viz.films.canvas import Canvas
from rtrrl.viz.scenes import Episode, SceneRenderer
from rtrrl.viz.scenes.shapes import path

WIDTH, HEIGHT, DPI = 6.0, 5.4, 80  # inches: 480 × 432 pixels, even as video requires
_LEFT, _RIGHT = 0.115, 0.97


class Title(NamedTuple):
    """The two lines above the scene."""

    task: str
    agent: str


class Film:
    """The T + 1 frames of an episode of T steps, drawn on one figure.

    Axes and title are drawn once; each frame draws the rest over them.
    """

    def __init__(self, episode: Episode, renderer: SceneRenderer, title: Title):
        self._episode, self._renderer = episode, renderer
        self._returns = np.concatenate([[0.0], np.cumsum(episode.rewards, dtype=float)])
        figure = Figure((WIDTH, HEIGHT), dpi=DPI, facecolor=PAPER)
        self._agg = FigureCanvasAgg(figure)
        self._canvas = Canvas(figure, (0.03, 0.365, 0.97, 0.885))
        left = {"x": 0.03, "va": "top"}
        figure.text(y=0.968, s=_short(title.task, 36), size=13, weight="bold", color=INK, **left)
        figure.text(y=0.918, s=_short(title.agent, 62), size=8.5, color=GREY, **left)
        right = {"x": 0.97, "s": "", "ha": "right", "va": "top", "color": INK, "animated": True}
        self._count = figure.text(y=0.968, size=11, **right)
        self._return = figure.text(y=0.918, size=8.5, **right)
        top, bottom = (
            figure.add_axes((_LEFT, low, _RIGHT - _LEFT, 0.125)) for low in (0.205, 0.045)
        )
        self._cursors = [
            _chart(top, "v̂", episode.values),
            _chart(bottom, "δ", episode.td_errors),
        ]
        (self._line,) = top.plot([], [], color=BLUE, linewidth=1.6, animated=True)
        (self._dot,) = top.plot([], [], "o", color=BLUE, markersize=4.5, animated=True)
        width = max(1.0, 0.7 * 72 * WIDTH * (_RIGHT - _LEFT) / max(1, episode.steps))
        self._bars = LineCollection([], linewidths=min(width, 14.0), animated=True)
        bottom.add_collection(self._bars)
        self._agg.draw()
        self._background = self._agg.copy_from_bbox(figure.bbox)

    def __len__(self) -> int:
        return self._episode.steps + 1

    def frame(self, step: int) -> UInt8[np.ndarray, "height width 3"]:
        """The frame after `step` steps of the episode."""
        self._agg.restore_region(self._background)
        self._canvas.draw(self._renderer.scene(self._episode, step))
        for cursor in self._cursors:
            cursor.set_xdata([step, step])
        steps, values = np.arange(1, step + 1), self._episode.values[:step]
        self._line.set_data(steps, values)
        self._dot.set_data(steps[-1:], values[-1:])
        errors = self._episode.td_errors[:step]
        pairs = zip(steps, errors, strict=True)
        self._bars.set_segments([path((at, 0), (at, error)) for at, error in pairs])
        self._bars.set_color([BLUE if error > 0 else RED for error in errors])
        self._count.set_text(f"step {step}")
        self._return.set_text(f"return {self._returns[step]:.4g}")
        drawn = (self._line, self._dot, self._bars, self._count, self._return)
        for artist in (*self._cursors, *drawn):
            artist.draw(self._agg.get_renderer())
        return np.asarray(self._agg.buffer_rgba())[..., :3].copy()

    def frames(self) -> Iterator[UInt8[np.ndarray, "height width 3"]]:
        """All frames in order."""
        return (self.frame(step) for step in range(len(self)))


def _short(text: str, most: int) -> str:
    """What fits beside the numbers on the right."""
    return text if len(text) <= most else text[: most - 1] + "…"


def _chart(axes: Axes, name: str, numbers: Float[np.ndarray, " steps"]) -> Line2D:
    """Prepare axes for `numbers` over the whole episode; returns a cursor to move along them."""
    axes.spines[["top", "right", "bottom"]].set_visible(False)
    axes.spines["left"].set_color(PALE)
    axes.tick_params(colors=GREY, color=PALE, labelsize=7.5, length=2)
    axes.set_xticks([])
    low, high = min(0.0, float(numbers.min())), max(0.0, float(numbers.max()))
    margin = 0.08 * (high - low) or 1.0
    axes.set_xlim(-0.01 * len(numbers), 1.01 * len(numbers) + 0.5)
    axes.set_ylim(low - margin, high + margin)
    axes.locator_params(axis="y", nbins=3)
    axes.axhline(0, color=PALE, linewidth=1)
    axes.set_ylabel(name, rotation=0, size=12, color=INK, va="center")
    axes.yaxis.set_label_coords(-0.085, 0.5)
    return axes.axvline(0, color=GREY, linewidth=0.8, animated=True)
