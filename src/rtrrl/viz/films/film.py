"""Films of episodes: the world on top, beneath it what the agent expects and what surprises it."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, UInt8
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure

from rtrrl.viz.films.canvas import Canvas
from rtrrl.viz.scenes import Episode, Picture
from rtrrl.viz.scenes.shapes import BLUE, GREY, INK, PALE, PAPER, RED

WIDTH, HEIGHT, DPI = 6.0, 5.4, 80  # inches: 480 × 432 pixels, even as video must be
_LEFT, _RIGHT = 0.115, 0.97


class Title(NamedTuple):
    """What stands above the world all the time."""

    task: str
    agent: str


class Film:
    """The frames of an episode, one a moment, drawn on one figure.

    What stands still (axes, title) is drawn once; the rest is drawn over it.
    """

    def __init__(self, episode: Episode, picture: Picture, title: Title):
        self._episode, self._picture = episode, picture
        self._returns = np.concatenate([[0.0], np.cumsum(episode.rewards, dtype=float)])
        figure = Figure((WIDTH, HEIGHT), dpi=DPI, facecolor=PAPER)
        self._agg = FigureCanvasAgg(figure)
        self._world = Canvas(figure, (0.03, 0.365, 0.97, 0.885))
        figure.text(
            0.03, 0.968, _short(title.task, 36), size=13, weight="bold", color=INK, va="top"
        )
        figure.text(0.03, 0.918, _short(title.agent, 62), size=8.5, color=GREY, va="top")
        top, bottom = (
            figure.add_axes((_LEFT, low, _RIGHT - _LEFT, 0.125)) for low in (0.205, 0.045)
        )
        self._value = _Strip(top, "v̂", episode.values)
        self._surprise = _Strip(bottom, "δ", episode.td_errors)
        (self._line,) = top.plot([], [], color=BLUE, linewidth=1.6, animated=True)
        (self._dot,) = top.plot([], [], "o", color=BLUE, markersize=4.5, animated=True)
        width = max(1.0, 0.7 * 72 * WIDTH * (_RIGHT - _LEFT) / max(1, episode.steps))
        self._bars = LineCollection([], linewidths=min(width, 14.0), animated=True)
        bottom.add_collection(self._bars)
        now = {"ha": "right", "va": "top", "color": INK, "animated": True}
        self._count = figure.text(0.97, 0.968, "", size=11, **now)
        self._return = figure.text(0.97, 0.918, "", size=8.5, **now)
        self._agg.draw()
        self._still = self._agg.copy_from_bbox(figure.bbox)

    def __len__(self) -> int:
        return self._episode.steps + 1

    def frame(self, moment: int) -> UInt8[np.ndarray, "height width 3"]:
        """The film at one moment."""
        self._agg.restore_region(self._still)
        self._world.draw(self._picture.scene(self._episode, moment))
        self._say(moment)
        renderer = self._agg.get_renderer()
        for strip in (self._value, self._surprise):
            strip.cursor.set_xdata([moment, moment])
            strip.cursor.draw(renderer)
        times, values = np.arange(1, moment + 1), self._episode.values[:moment]
        self._line.set_data(times, values)
        self._dot.set_data(times[-1:], values[-1:])
        errors = self._episode.td_errors[:moment]
        ends = np.stack([np.zeros(moment), errors], axis=1)
        feet = np.broadcast_to(times[:, None], ends.shape)
        self._bars.set_segments(list(np.stack([feet, ends], axis=2)))
        self._bars.set_color([BLUE if error > 0 else RED for error in errors])
        for artist in (self._line, self._dot, self._bars, self._count, self._return):
            artist.draw(renderer)
        return np.asarray(self._agg.buffer_rgba())[..., :3].copy()

    def frames(self) -> Iterator[UInt8[np.ndarray, "height width 3"]]:
        """All moments in order."""
        return (self.frame(moment) for moment in range(len(self)))

    def _say(self, moment: int) -> None:
        self._count.set_text(f"step {moment}")
        self._return.set_text(f"return {self._returns[moment]:.4g}")


def _short(text: str, most: int) -> str:
    """What fits beside the numbers on the right."""
    return text if len(text) <= most else text[: most - 1] + "…"


class _Strip:
    """One chart over the whole episode, with a cursor at the present."""

    def __init__(self, axes: Axes, name: str, numbers: Float[np.ndarray, " steps"]):
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
        (self.cursor,) = axes.plot(
            [0, 0],
            [0, 1],
            color=GREY,
            linewidth=0.8,
            animated=True,
            transform=axes.get_xaxis_transform(),
        )
