"""What lives the seeds of a run."""

import abc
from types import TracebackType
from typing import Any, ClassVar, Self

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from rtrrl.runs.config import RunConfig
from rtrrl.training.loop import EpisodeStatistics, RunnerState
from rtrrl.types import PyTree


class Runner(abc.ABC):
    """The seeds of a run in shards, one shard a worker."""

    first_slice: ClassVar[int] = 256
    """How many steps to live before the first look up, when their cost is not known yet."""

    def __init__(self, plan: RunConfig):
        self._plan = plan

    @property
    @abc.abstractmethod
    def shards(self) -> list[slice]:
        """Which of the seeds each shard holds."""

    @abc.abstractmethod
    def births(self) -> list[RunnerState]:
        """Every shard's seeds, newborn."""

    @abc.abstractmethod
    def advance(self, lives: list[RunnerState], count: int) -> list[RunnerState]:
        """All seeds live `count` steps."""

    @abc.abstractmethod
    def evaluations(
        self, lives: list[RunnerState], step: int
    ) -> Float[np.ndarray, "seeds episodes"]:
        """The returns of every seed's agent, frozen as it is at `step`."""

    @abc.abstractmethod
    def template(self, meta: dict[str, Any]) -> PyTree:
        """The shapes of what `packed` gave, by the `meta` that it gave."""

    @abc.abstractmethod
    def packed(self, lives: list[RunnerState]) -> tuple[PyTree, dict[str, Any]]:
        """All that has to be kept to go on from here, and what tells its shapes."""

    @abc.abstractmethod
    def unpacked(self, kept: PyTree) -> list[RunnerState]:
        """The lives as they were packed, in worlds that are where they were."""

    @abc.abstractmethod
    def agents(self, kept: PyTree) -> PyTree:
        """The agents' states among what was packed, with a leading axis over seeds."""

    @abc.abstractmethod
    def close(self) -> None:
        """Lets go of threads, processes and worlds."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()


def with_reset_statistics(lives: list[RunnerState]) -> list[RunnerState]:
    """With empty tallies."""
    tallies = _zeros([life.tally for life in lives])
    return [
        eqx.tree_at(lambda life: life.tally, *pair) for pair in zip(lives, tallies, strict=True)
    ]


@jax.jit
def _zeros(tallies: list[EpisodeStatistics]) -> list[EpisodeStatistics]:
    return jax.tree.map(jnp.zeros_like, tallies)
