"""Every seed's agent as it was at its best evaluation."""

import dataclasses
from pathlib import Path
from typing import Self

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Bool, Float, Int

from rtrrl.runs import checkpoints
from rtrrl.types import PyTree
from rtrrl.utils.prng import with_key_type, without_key_type


@dataclasses.dataclass(frozen=True)
class BestAgents:
    """The best agents so far; of equal ones the first."""

    states: PyTree
    """Every array with a leading axis over the seeds."""
    scores: Float[np.ndarray, " seeds"]
    """Their evaluations."""
    steps: Int[np.ndarray, " seeds"]
    """The steps at which they were evaluated."""

    @classmethod
    def none(cls, states: PyTree, seeds: int) -> Self:
        """Before any evaluation."""
        return cls(states, np.full(seeds, -np.inf), np.zeros(seeds, int))

    def improved(self, scores: Float[np.ndarray, " seeds"]) -> Bool[np.ndarray, " seeds"]:
        """Which seeds have a new best evaluation."""
        return scores > self.scores

    def updated(self, states: PyTree, scores: Float[np.ndarray, " seeds"], step: int) -> Self:
        """After another evaluation."""
        better = self.improved(scores)
        # through NumPy, so that nothing has to be compiled
        states = jax.tree.map(lambda new, old: _where(better, new, old), states, self.states)
        return dataclasses.replace(
            self,
            states=states,
            scores=np.where(better, scores, self.scores),
            steps=np.where(better, step, self.steps),
        )

    def save(self, path: Path) -> None:
        """Write states and steps."""
        checkpoints.save(path, self.states, {"steps": self.steps.tolist()})


def restored(
    path: Path,
    states: PyTree,
    scores: Float[np.ndarray, " seeds"],
    steps: Int[np.ndarray, " seeds"],
) -> BestAgents:
    """The best agents of a run that is resumed; `states` are those of its checkpoint.

    `scores` and `steps` are those of each seed's best row. A kill after the checkpoint was written
    and before `save` leaves a file without the newest of them: they are those of the checkpoint.
    """
    if not path.exists():
        return BestAgents(states, scores, steps)
    saved, meta = checkpoints.load(path, states)
    known = np.array(meta["steps"]) == steps
    return BestAgents(
        jax.tree.map(lambda old, new: _where(known, old, new), saved, states), scores, steps
    )


def _where(better: Bool[np.ndarray, " seeds"], new: jax.Array, old: jax.Array) -> jax.Array:
    parts = [np.asarray(without_key_type(leaf)) for leaf in (new, old)]
    better = better.reshape(-1, *(1,) * (parts[0].ndim - 1))
    return with_key_type(jnp.array(np.where(better, *parts)), new)
