"""The protocol of a world that Python steps: a simulator, a robot, whatever cannot be compiled."""

import abc
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Shaped

from rtrrl.environments.base import AbstractEnvironment


class VectorTimeStep(NamedTuple):
    """What several worlds answer to one action each; see `types.TimeStep`."""

    observation: Float[np.ndarray, "copies observed"]
    reward: Float[np.ndarray, " copies"]
    discount: Float[np.ndarray, " copies"]
    last: Bool[np.ndarray, " copies"]


class VectorEnvironment(abc.ABC):
    """Copies of a world side by side, as they are now.

    A world that has answered `last` is reset before it is stepped again. Given the same seed and
    the same actions, an episode is the same: that is how a run is resumed in the middle of one.
    """

    @abc.abstractmethod
    def reset(
        self, seeds: Sequence[int], which: Bool[np.ndarray, " copies"]
    ) -> Float[np.ndarray, "copies observed"]:
        """New episodes in the worlds `which`; the other rows of the answer mean nothing."""

    @abc.abstractmethod
    def step(self, actions: Shaped[np.ndarray, "copies ..."]) -> VectorTimeStep:
        """One step of every world, with the real final observation at an end."""

    @abc.abstractmethod
    def picture(self) -> Shaped[np.ndarray, "height width 3"]:
        """What the first world looks like."""

    @abc.abstractmethod
    def close(self) -> None:
        """Lets go of processes and windows."""


class HostEnvironment(AbstractEnvironment):
    """A recipe for worlds that Python steps."""

    @abc.abstractmethod
    def open(
        self, copies: int, processes: bool = False, pictures: bool = False
    ) -> VectorEnvironment:
        """Live copies, each in a process of its own if asked; with `pictures` they can be drawn."""


def episode_seed(*words: int) -> int:
    """The seed of one episode, by what tells it from all others: a run's seed, its number, ….

    >>> episode_seed(0, 0) != episode_seed(0, 1)
    True
    """
    sequence = np.random.SeedSequence([word & 0xFFFFFFFF for word in words])
    return int(sequence.generate_state(1)[0] >> 1)  # gymnasium takes 31 bits
