"""The base class of runners, which step all seeds of a run."""

import abc
from types import TracebackType
from typing import Any, ClassVar, Self

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from rtrrl.runs.config import RunConfig
from rtrrl.training.evaluation_protocol import Poll, Returns
from rtrrl.training.loop import EpisodeStatistics, RunnerState
from rtrrl.types import PyTree
from rtrrl.utils.prng import with_key_type, without_key_type


class Runner(abc.ABC):
    """The seeds of a run in shards, one shard a worker."""

    first_slice: ClassVar[int] = 16
    """How many steps to run at first, before the time of a step has been measured."""

    def __init__(self, config: RunConfig):
        self._config = config

    @property
    @abc.abstractmethod
    def shards(self) -> list[slice]:
        """Which of the seeds each shard holds."""

    @abc.abstractmethod
    def init(self, start: PyTree | None = None) -> list[RunnerState]:
        """Every shard's seeds at the start of their first episode.

        The agents begin with the states `start`, which have a leading axis over seeds, if given.
        """

    @abc.abstractmethod
    def advance(self, states: list[RunnerState], count: int) -> list[RunnerState]:
        """`count` steps of all seeds."""

    @abc.abstractmethod
    def evaluate(self, states: list[RunnerState], step: int, poll: Poll) -> Returns:
        """The returns of every seed's agent, frozen as it is at `step`."""

    @abc.abstractmethod
    def template(self, meta: dict[str, Any]) -> PyTree:
        """The shapes of a checkpoint's content, given the `meta` of `to_saved`."""

    @abc.abstractmethod
    def to_saved(self, states: list[RunnerState]) -> tuple[PyTree, dict[str, Any]]:
        """The content of a checkpoint, and the `meta` from which `template` makes its shapes."""

    @abc.abstractmethod
    def from_saved(self, saved: PyTree) -> list[RunnerState]:
        """The states in a checkpoint's content, with the environments restored."""

    @abc.abstractmethod
    def states_in(self, saved: PyTree) -> list[RunnerState]:
        """The states in a checkpoint's content, without restoring the environments."""

    def agent_states(self, states: list[RunnerState]) -> PyTree:
        """The agents' states, with a leading axis over seeds."""
        shards = range(len(states))
        return jax.tree.map(_join, *(self.shard_agents(shard, states[shard]) for shard in shards))

    def shard_agents(self, shard: int, state: RunnerState) -> PyTree:
        """The agents' states in a shard, with a leading axis over its seeds."""
        return state.agent_state

    @abc.abstractmethod
    def close(self) -> None:
        """End threads, processes and environments."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()


def _join(*shards: Any) -> Any:
    """The seeds of all shards, through NumPy, so that nothing has to be compiled."""
    if not eqx.is_array(shards[0]):
        return shards[0]
    numbers = np.concatenate([np.asarray(without_key_type(shard)) for shard in shards])
    return with_key_type(jnp.array(numbers), shards[0])


def reset_statistics(states: list[RunnerState]) -> list[RunnerState]:
    """The states with episode statistics of zero."""
    zeros = _zeros([state.statistics for state in states])
    pairs = zip(states, zeros, strict=True)
    return [eqx.tree_at(lambda state: state.statistics, *pair) for pair in pairs]


@jax.jit
def _zeros(statistics: list[EpisodeStatistics]) -> list[EpisodeStatistics]:
    return jax.tree.map(jnp.zeros_like, statistics)
