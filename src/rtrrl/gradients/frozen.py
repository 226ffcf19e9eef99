"""No gradient: the recurrence stays as it was drawn."""

import jax
import jax.numpy as jnp

from rtrrl.cells import Cell, recurrent_parameters
from rtrrl.cells.base import Input, State
from rtrrl.gradients.base import GradientRule
from rtrrl.types import Key, PyTree


class Frozen(GradientRule):
    """A reservoir: the readouts learn, the recurrence does not."""

    def init(self, cell: Cell, key: Key | None = None) -> None:
        """Nothing is carried."""
        del cell, key

    def step(self, cell: Cell, influence: None, h: State, x: Input) -> tuple[State, None]:
        """Steps the cell alone."""
        return cell(h, x), influence

    def pullback(self, cell: Cell, influence: None, h_bar: State) -> PyTree:
        """Zeros."""
        del influence, h_bar
        return jax.tree.map(jnp.zeros_like, recurrent_parameters(cell))
