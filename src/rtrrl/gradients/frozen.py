"""No gradient: the recurrence keeps its initial parameters."""

import jax
import jax.numpy as jnp

from rtrrl.cells import Cell, recurrent_parameters
from rtrrl.cells.base import Input, State
from rtrrl.gradients.base import GradientRule
from rtrrl.types import Key, PyTree


class Frozen(GradientRule):
    """A reservoir: the readouts are trained, the recurrence is not."""

    def init(self, cell: Cell, key: Key | None = None) -> None:
        return None

    def step(self, cell: Cell, influence: None, h: State, x: Input) -> tuple[State, None]:
        return cell(h, x), influence

    def pullback(self, cell: Cell, influence: None, h_bar: State) -> PyTree:
        return jax.tree.map(jnp.zeros_like, recurrent_parameters(cell))
