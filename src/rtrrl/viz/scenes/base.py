"""What can be drawn of an episode, and the picture that every world has: bars."""

import abc
import dataclasses
from typing import Any

import equinox as eqx
import jax
import numpy as np
from jaxtyping import Float, Shaped

from rtrrl.environments import Discrete, MultiDiscrete, Space
from rtrrl.types import PyTree
from rtrrl.viz.scenes.shapes import BLUE, GREY, PALE, RED, Disc, Label, Scene, Shape, box, path


@dataclasses.dataclass(frozen=True)
class Episode:
    """What happened: T steps, and T + 1 moments.

    Action t leads from moment t to moment t + 1, and so do reward, v̂ and δ: `values[t]` is that of
    moment t + 1, and `td_errors[t]` the surprise on arriving there.
    """

    sights: PyTree
    """What the picture needs of each moment; every leaf has a leading axis of T + 1."""
    observations: Float[np.ndarray, "moments observed"]
    actions: Shaped[np.ndarray, "steps ..."]
    rewards: Float[np.ndarray, " steps"]
    values: Float[np.ndarray, " steps"]
    td_errors: Float[np.ndarray, " steps"]
    ended: bool
    """Whether the world ended it, rather than the film."""

    @property
    def steps(self) -> int:
        """T."""
        return len(self.rewards)

    def sight(self, moment: int) -> Any:
        """What was seen of the world at a moment."""
        return jax.tree.map(lambda leaf: leaf[moment], self.sights)

    def arrival(self, moment: int) -> Shaped[np.ndarray, "..."] | None:
        """The action that led to a moment; none to the first."""
        return np.asarray(self.actions[moment - 1]) if moment else None


class Picture(eqx.Module):
    """How a family of worlds is drawn; its fields are what does not change in an episode."""

    @abc.abstractmethod
    def look(self, state: Any) -> PyTree:
        """What is needed of a world's state, as arrays: the rest of it is not recorded.

        The state of a world that Python steps is the live world itself (`LiveWorlds`).
        """

    @abc.abstractmethod
    def scene(self, episode: Episode, moment: int) -> Scene:
        """The world at a moment."""


MOST_CHOICES = 24
"""More choices than this are not drawn one by one: the number of the chosen one is written."""


class Bars(Picture):
    """The observation as bars, upwards where positive, and under it the action taken.

    A full bar is the largest absolute value of that entry in the episode.
    """

    actions: Space = eqx.field(static=True)

    def look(self, state: Any) -> PyTree:
        """Nothing: all is in the observation."""
        return ()

    def scene(self, episode: Episode, moment: int) -> Scene:
        """Bars above, the action below."""
        largest = np.abs(episode.observations).max(axis=0)
        heights = episode.observations[moment] / np.where(largest > 0, largest, 1)
        shapes: list[Shape] = [Label("observation", path((5, 5.75))[0], 0.36)]
        if episode.observations.min() < 0:
            shapes += _bars(heights, ground=3.7, height=1.6, color=BLUE)
        else:
            shapes += _bars(heights, ground=2.2, height=3.1, color=BLUE, down=0.0)
        shapes += [Label("action", path((5, 1.45))[0], 0.36)]
        shapes += self._action(episode.arrival(moment))
        return Scene((0, 10, 0, 6), shapes)

    def _action(self, action: Shaped[np.ndarray, "..."] | None) -> list[Shape]:
        match self.actions:
            case Discrete(n=n) if n <= MOST_CHOICES:
                places = _places(n)
                radius = min(0.3, 0.4 * (places[1] - places[0]) if n > 1 else 0.3)
                return [
                    Disc(
                        path((x, 0.7))[0],
                        radius,
                        RED if action is not None and i == action else PALE,
                    )
                    for i, x in enumerate(places)
                ]
            case Discrete() | MultiDiscrete():
                words = "–" if action is None else " ".join(map(str, np.atleast_1d(action)))
                return [Label(words, path((5, 0.7))[0], 0.5, RED)]
            case space:
                reach = np.maximum(np.abs(space.low), np.abs(space.high))
                taken = np.zeros(space.size) if action is None else np.ravel(action)
                reach = np.where(np.isfinite(reach), reach, np.maximum(1, np.abs(taken)))
                return _bars(taken / reach, ground=0.6, height=0.5, color=RED)


def _places(count: int) -> Float[np.ndarray, " count"]:
    """Where `count` things stand beside each other around x = 5."""
    apart = min(0.9, 9.2 / count)
    return 5 + apart * (np.arange(count) - (count - 1) / 2)


def _bars(
    heights: Float[np.ndarray, " bars"],
    ground: float,
    height: float,
    color: str,
    down: float = 1.0,
) -> list[Shape]:
    """Bars from −`down` to 1 on a line, over a pale area that shows how far they could reach."""
    places = _places(len(heights))
    half = 0.38 * min(0.9, 9.2 / len(heights))
    shapes: list[Shape] = [
        box(x - half, ground - down * height, x + half, ground + height, "#f3f3f3") for x in places
    ]
    for x, value in zip(places, np.clip(heights, -down, 1), strict=True):
        shapes.append(box(x - half, ground, x + half, ground + height * float(value), color))
    edge = places[0] - half, places[-1] + half
    shapes.append(box(edge[0], ground - 0.012, edge[1], ground + 0.012, GREY))
    return shapes
