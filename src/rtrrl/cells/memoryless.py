"""No recurrence: the agent is then linear TD(λ)."""

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float

from rtrrl.cells.base import Cell, CellConfig, Input, State, Unit, lecun_normal
from rtrrl.types import Key


class Memoryless(Cell):
    """h' = W [x; 1], linear in the last input: the paper's linear TD(λ) baseline."""

    weight: Float[Array, "columns hidden"]
    input_size: int = eqx.field(static=True)
    hidden_size: int = eqx.field(static=True)

    def __init__(self, input_size: int, hidden_size: int, *, key: Key):
        self.input_size, self.hidden_size = input_size, hidden_size
        self.weight = lecun_normal(key, (input_size + 1, hidden_size), input_size).at[-1].set(0.0)

    def unit(self, own: Unit, h: State, x: Input) -> Unit:
        """w · [x; 1]."""
        return (self.weight @ jnp.concatenate([x, jnp.ones(1, x.dtype)]))[None]

    @property
    def diagonal(self) -> bool:
        return True


class MemorylessConfig(CellConfig):
    """Settings of the memoryless cell."""

    cell = Memoryless
