"""A recorded episode, how it is drawn, and the renderer that fits every environment: bars."""

import abc
import dataclasses
from typing import Any

import equinox as eqx
import jax
import numpy as np
from jaxtyping import Float, Shaped

from rtrrl.environments import Discrete, MultiDiscrete, Space
from rtrrl.environments.spaces import LARGEST
from rtrrl.types import PyTree
from rtrrl.viz.colors import BLUE, GREY, PALE, RED
from rtrrl.viz.scenes.shapes import Disc, Label, Scene, Shape, box


@dataclasses.dataclass(frozen=True)
class Episode:
    """A recorded episode of T steps, with T + 1 states.

    `actions[t]` leads from state t to state t + 1; `rewards[t]`, `values[t]` (v̂) and `td_errors[t]`
    (δ) belong to this transition: `values[t]` is the value of state t + 1.
    """

    snapshots: PyTree
    """What the renderer extracted of each state; every leaf has a leading axis of T + 1."""
    observations: Float[np.ndarray, "states observed"]
    actions: Shaped[np.ndarray, "steps ..."]
    rewards: Float[np.ndarray, " steps"]
    values: Float[np.ndarray, " steps"]
    td_errors: Float[np.ndarray, " steps"]
    ended: bool
    """Whether the episode is over; otherwise the recording stopped before its end."""

    @property
    def steps(self) -> int:
        """T."""
        return len(self.rewards)

    def snapshot(self, step: int) -> Any:
        """What the renderer extracted of the state after `step` steps."""
        return jax.tree.map(lambda leaf: leaf[step], self.snapshots)

    def last_action(self, step: int) -> Shaped[np.ndarray, "..."] | None:
        """The action that led to the state after `step` steps; None for the first state."""
        return np.asarray(self.actions[step - 1]) if step else None


class SceneRenderer(eqx.Module):
    """Draws the states of one family of environments; its fields are constant in an episode."""

    def extract(self, env_state: Any) -> PyTree:
        """The arrays of a state that `scene` needs; by default none, only the observation.

        The state of an environment that Python steps is its open `VectorEnvironment`.
        """
        return ()

    @abc.abstractmethod
    def scene(self, episode: Episode, step: int) -> Scene:
        """The environment after `step` steps of a recorded episode."""


MAX_CHOICES = 24
"""With more actions than this the number of the chosen one is written."""


class Bars(SceneRenderer):
    """The observation as bars, upwards where positive, and below it the last action.

    A full bar is the largest absolute value of that entry in the episode.
    """

    actions: Space = eqx.field(static=True)

    def scene(self, episode: Episode, step: int) -> Scene:
        largest = np.abs(episode.observations).max(axis=0)
        heights = episode.observations[step] / np.where(largest > 0, largest, 1)
        signed = episode.observations.min() < 0
        ground, height = (3.7, 1.6) if signed else (2.2, 3.1)
        return Scene(
            (0, 10, 0, 6),
            [
                Label("observation", (5, 5.75), 0.36),
                *_bars(heights, ground, height, BLUE, lowest=-1.0 if signed else 0.0),
                Label("action", (5, 1.45), 0.36),
                *self._action(episode.last_action(step)),
            ],
        )

    def _action(self, action: Shaped[np.ndarray, "..."] | None) -> list[Shape]:
        match self.actions:
            case Discrete(n=n) if n <= MAX_CHOICES:
                places = _places(n)
                radius = min(0.3, 0.4 * (places[1] - places[0]) if n > 1 else 0.3)
                chosen = n if action is None else int(action)
                return [
                    Disc((x, 0.7), radius, RED if i == chosen else PALE)
                    for i, x in enumerate(places)
                ]
            case Discrete() | MultiDiscrete():
                text = "–" if action is None else " ".join(map(str, np.atleast_1d(action)))
                return [Label(text, (5, 0.7), 0.5, RED)]
            case space:
                reach = np.maximum(np.abs(space.low), np.abs(space.high))
                taken = np.zeros(space.size) if action is None else np.ravel(action)
                bounded = (reach > 0) & (reach < LARGEST)
                reach = np.where(bounded, reach, np.maximum(1, np.abs(taken)))
                return _bars(taken / reach, 0.6, 0.5, RED)


def _places(count: int) -> Float[np.ndarray, " count"]:
    """The x of `count` things side by side around x = 5."""
    apart = min(0.9, 9.2 / count)
    return 5 + apart * (np.arange(count) - (count - 1) / 2)


def _bars(
    heights: Float[np.ndarray, " bars"],
    ground: float,
    height: float,
    color: str,
    lowest: float = -1.0,
) -> list[Shape]:
    """Bars from `lowest` to 1 on a line, over a pale area that shows their range."""
    places = _places(len(heights))
    half = 0.38 * min(0.9, 9.2 / len(heights))
    clipped = np.clip(heights, lowest, 1)
    return [
        *(
            box(x - half, ground + lowest * height, x + half, ground + height, "#f3f3f3")
            for x in places
        ),
        *(
            box(x - half, ground, x + half, ground + height * float(value), color)
            for x, value in zip(places, clipped, strict=True)
        ),
        box(places[0] - half, ground - 0.012, places[-1] + half, ground + 0.012, GREY),
    ]
