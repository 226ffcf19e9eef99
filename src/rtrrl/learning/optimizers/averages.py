"""Exponentially weighted means."""

from typing import Self

import equinox as eqx
import jax
import jax.numpy as jnp

from rtrrl.types import PyTree, Scalar


class Average(eqx.Module):
    """The mean of x_1 … x_t with the weights β^(t−1), …, β, 1.

    That is Adam's bias-corrected moment, and with β = 1 the plain mean.
    """

    total: PyTree
    """Σ β^(t−i) x_i."""
    weight: Scalar
    """Σ β^(t−i)."""

    @classmethod
    def empty(cls, like: PyTree) -> Self:
        """The average of no values."""
        return cls(jax.tree.map(jnp.zeros_like, like), jnp.zeros(()))

    def add(self, value: PyTree, decay: Scalar | float) -> Self:
        """The average with one more value; `decay` is β."""
        sums = jax.tree.map(lambda total, x: decay * total + x, self.total, value)
        return type(self)(sums, decay * self.weight + 1)

    @property
    def mean(self) -> PyTree:
        """The mean; zeros before the first value."""
        # the weight is 1 or more from the first value on
        return jax.tree.map(lambda total: total / jnp.maximum(self.weight, 1), self.total)
