"""What an agent that learns now and then has lived through since it last learnt."""

import dataclasses
from typing import Self

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from rtrrl.agents.base import Action
from rtrrl.cells import Cell
from rtrrl.learning.policies import Policy
from rtrrl.learning.returns import generalized_advantages
from rtrrl.types import PyTree, Scalar


class Transition(eqx.Module):
    """One step of the stream: what was read and done, and what that brought."""

    x: Float[Array, "*time inputs"]
    begun: Bool[Array, "*time"]
    """Whether x is the first input of an episode, which the cell reads at rest."""
    action: Action
    log_probability: Float[Array, "*time"]
    """log π(a | h) of the policy that acted."""
    value: Float[Array, "*time"]
    """v̂(h)."""
    reward: Float[Array, "*time"]
    discount: Float[Array, "*time"]
    """γ, 0 at a true terminal."""
    next_value: Float[Array, "*time"]
    """v̂(h'), at the end of an episode that of the real final observation."""


class Experience(eqx.Module):
    """Sequences to learn from."""

    h: Float[Array, "sequences k hidden"]
    """The state that each sequence starts from."""
    lived: Transition
    """Leading axes `[sequences, time]`."""
    advantage: Float[Array, "sequences time"]
    target: Float[Array, "sequences time"]
    """Of the value: the λ-return."""


class Rollout(eqx.Module):
    """Room for `size` transitions, cut into sequences whose first states are kept."""

    transitions: Transition
    h: Float[Array, "sequences k hidden"]
    filled: Int[Array, ""]
    sequence: int = eqx.field(static=True)

    @classmethod
    def empty(cls, size: int, sequence: int, cell: Cell, policy: Policy) -> Self:
        """Nothing lived yet."""
        zero = jnp.zeros(())
        blank = Transition(
            jnp.zeros(cell.input_size), zero > 0, policy.no_action, zero, zero, zero, zero, zero
        )
        return cls(
            transitions=_room(blank, size),
            h=_room(cell.initial_state(), size // sequence),
            filled=jnp.zeros((), jnp.int32),
            sequence=sequence,
        )

    @property
    def full(self) -> Bool[Array, ""]:
        """Whether there is no room left."""
        return self.filled == len(self.transitions.begun)

    def including(self, transition: Transition, h: Float[Array, "k hidden"]) -> "Rollout":
        """With one more transition, whose x met the state h; not beyond `full`."""
        place, within = jnp.divmod(self.filled, self.sequence)
        starting = jnp.where(within == 0, place, len(self.h))  # beyond the end: dropped
        return dataclasses.replace(
            self,
            transitions=jax.tree.map(
                lambda all, one: all.at[self.filled].set(one), self.transitions, transition
            ),
            h=self.h.at[starting].set(h, mode="drop"),
            filled=self.filled + 1,
        )

    def emptied(self) -> "Rollout":
        """With all its room again."""
        return dataclasses.replace(self, filled=jnp.zeros_like(self.filled))

    def experience(self, lambda_: Scalar | float) -> Experience:
        """The full rollout as sequences, with generalized advantages."""
        lived = self.transitions
        advantage = generalized_advantages(
            lived.reward,
            lived.discount,
            lived.next_value,
            lived.value,
            jnp.append(lived.begun[1:], True),  # an episode's last step is followed by a first
            lambda_,
        )
        cut = lambda leaf: leaf.reshape(-1, self.sequence, *leaf.shape[1:])  # noqa: E731
        return Experience(self.h, *jax.tree.map(cut, (lived, advantage, advantage + lived.value)))


def _room(one: PyTree, size: int) -> PyTree:
    return jax.tree.map(lambda leaf: jnp.zeros((size, *leaf.shape), leaf.dtype), one)
