"""The interface of environments that Python steps, such as simulators and robots."""

import abc
from collections.abc import Sequence
from typing import NamedTuple

import equinox as eqx
import numpy as np
from jaxtyping import Bool, Float, Shaped

from rtrrl.environments.base import AbstractEnvironment
from rtrrl.environments.spaces import Space


class VectorTimeStep(NamedTuple):
    """A batch of time steps, one for each copy of an environment; see `types.TimeStep`."""

    observation: Float[np.ndarray, "num_envs observed"]
    reward: Float[np.ndarray, " num_envs"]
    discount: Float[np.ndarray, " num_envs"]
    last: Bool[np.ndarray, " num_envs"]


class VectorEnvironment(abc.ABC):
    """Running copies of an environment, stepped together and never reset by themselves.

    A copy whose time step is `last` is reset before it is stepped again. The same seed and the same
    actions give the same episode, if the environment is `replayable`: a run that is resumed within
    an episode relies on it.
    """

    @abc.abstractmethod
    def reset(
        self, seeds: Sequence[int], mask: Bool[np.ndarray, " num_envs"]
    ) -> Float[np.ndarray, "num_envs observed"]:
        """The first observations of new episodes where `mask` is true; other rows are undefined."""

    @abc.abstractmethod
    def step(self, actions: Shaped[np.ndarray, "num_envs ..."]) -> VectorTimeStep:
        """One step of every copy, with the real final observation where an episode ends."""

    @abc.abstractmethod
    def render(self) -> Shaped[np.ndarray, "height width 3"]:
        """An RGB image of the first copy.

        **Raises** `RtrrlError` where it cannot be rendered.
        """

    @abc.abstractmethod
    def close(self) -> None:
        """Release processes and windows."""


class HostEnvironment(AbstractEnvironment):
    """The description of an environment that Python steps; `make_vector` makes copies that run."""

    @property
    def replayable(self) -> bool:
        """Whether the same seed and the same actions give the same episode, in any copy."""
        return True

    @abc.abstractmethod
    def make_vector(
        self, num_envs: int, processes: bool = False, render: bool = False
    ) -> VectorEnvironment:
        """Make `num_envs` copies, each in its own process if `processes`.

        With `render`, the images of the first copy are available.
        """


class NamedHost(HostEnvironment):
    """A host environment under another name, otherwise unchanged."""

    env: HostEnvironment
    title: str = eqx.field(static=True)

    @property
    def name(self) -> str:
        return self.title

    @property
    def observation_space(self) -> Space:
        return self.env.observation_space

    @property
    def action_space(self) -> Space:
        return self.env.action_space

    @property
    def replayable(self) -> bool:
        return self.env.replayable

    def make_vector(
        self, num_envs: int, processes: bool = False, render: bool = False
    ) -> VectorEnvironment:
        return self.env.make_vector(num_envs, processes, render)


def episode_seed(*words: int) -> int:
    """The seed of an episode from integers that identify it (seed of the run, episode number, …).

    >>> episode_seed(0, 0) != episode_seed(0, 1)
    True
    """
    sequence = np.random.SeedSequence([word & 0xFFFFFFFF for word in words])
    return int(sequence.generate_state(1)[0] >> 1)  # gymnasium takes 31 bits
