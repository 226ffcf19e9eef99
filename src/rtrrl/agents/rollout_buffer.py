"""A buffer of transitions, and the training sequences that a full one is cut into."""

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
    """One step: input, action, and the consequence of the action."""

    x: Float[Array, "*time inputs"]
    """The cell's input."""
    is_first: Bool[Array, "*time"]
    """Whether x is the first input of an episode, which the cell reads in its initial state."""
    action: Action
    log_probability: Float[Array, "*time"]
    """log π(a | h) of the policy that chose the action."""
    value: Float[Array, "*time"]
    """v̂(h)."""
    reward: Float[Array, "*time"]
    discount: Float[Array, "*time"]
    """γ, 0 at a terminal state."""
    next_value: Float[Array, "*time"]
    """v̂(h'), at the end of an episode that of its real final observation."""


class Sequences(eqx.Module):
    """Sequences of transitions with advantages."""

    h: Float[Array, "sequences k hidden"]
    """The recurrent state before each sequence."""
    transitions: Transition
    """Leading axes `[sequences, time]`."""
    advantage: Float[Array, "sequences time"]
    target: Float[Array, "sequences time"]
    """The λ-return, the target of the value."""


class Rollout(eqx.Module):
    """A buffer of transitions in sequences, with the recurrent state before each sequence."""

    transitions: Transition
    """A leading axis of the buffer's size."""
    h: Float[Array, "sequences k hidden"]
    filled: Int[Array, ""]
    """The number of transitions in the buffer."""
    sequence: int = eqx.field(static=True)
    """The length of a sequence."""

    @classmethod
    def empty(cls, size: int, sequence: int, cell: Cell, policy: Policy) -> Self:
        """A buffer of `size` transitions, in sequences of length `sequence`."""
        zero = jnp.zeros(())
        blank = Transition(
            jnp.zeros(cell.input_size), zero > 0, policy.no_action, zero, zero, zero, zero, zero
        )
        return cls(
            transitions=_buffer(blank, size),
            h=_buffer(cell.initial_state(), size // sequence),
            filled=jnp.zeros((), jnp.int32),
            sequence=sequence,
        )

    @property
    def full(self) -> Bool[Array, ""]:
        """Whether the buffer is full."""
        return self.filled == len(self.transitions.is_first)

    def add(self, transition: Transition, h: Float[Array, "k hidden"]) -> "Rollout":
        """With one more transition, h the recurrent state before its x; the buffer is not full."""
        index, within = jnp.divmod(self.filled, self.sequence)
        starting = jnp.where(within == 0, index, len(self.h))  # beyond the end: dropped
        return dataclasses.replace(
            self,
            transitions=jax.tree.map(
                lambda all, one: all.at[self.filled].set(one), self.transitions, transition
            ),
            h=self.h.at[starting].set(h, mode="drop"),
            filled=self.filled + 1,
        )

    def cleared(self) -> "Rollout":
        """The empty buffer."""
        return dataclasses.replace(self, filled=jnp.zeros_like(self.filled))

    def sequences(self, lambda_: Scalar | float) -> Sequences:
        """The full buffer as sequences, with generalized advantages."""
        steps = self.transitions
        advantage = generalized_advantages(
            steps.reward,
            steps.discount,
            steps.next_value,
            steps.value,
            jnp.append(steps.is_first[1:], True),  # an episode's last step precedes a first one
            lambda_,
        )
        cut = lambda leaf: leaf.reshape(-1, self.sequence, *leaf.shape[1:])  # noqa: E731
        return Sequences(self.h, *jax.tree.map(cut, (steps, advantage, advantage + steps.value)))


def _buffer(one: PyTree, size: int) -> PyTree:
    return jax.tree.map(lambda leaf: jnp.zeros((size, *leaf.shape), leaf.dtype), one)
