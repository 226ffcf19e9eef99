"""The gated recurrent unit, with the reset gate after the product."""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from rtrrl.cells.base import Cell, CellConfig, Input, State, Unit, lecun_normal
from rtrrl.types import Key


class GRU(Cell):
    """h' = z h + (1 − z) tanh(W x + b + r (U h + c)), gates z, r = σ(W [x; h; 1]).

    With the reset gate r applied after the product (Cho et al. 2014, as in cuDNN) each
    weight acts on one unit alone, which is not so in the usual form. `weight[g]` are the columns of
    the update gate (0), the reset gate (1) and the candidate (2) over [x; h; 1].
    """

    weight: Float[Array, "3 columns hidden"]
    recurrent_bias: Float[Array, "hidden"]
    input_size: int = eqx.field(static=True)
    hidden_size: int = eqx.field(static=True)

    def __init__(self, input_size: int, hidden_size: int, *, key: Key):
        self.input_size, self.hidden_size = input_size, hidden_size
        fan_in = input_size + hidden_size
        weight = lecun_normal(key, (3, fan_in + 1, hidden_size), fan_in)
        self.weight = weight.at[:, -1].set(0.0)
        self.recurrent_bias = jnp.zeros(hidden_size)

    def unit(self, own: Unit, h: State, x: Input) -> Unit:
        """z own + (1 − z) candidate."""
        from_input = jnp.concatenate([x, jnp.zeros_like(h[0]), jnp.ones(1, x.dtype)])
        from_state = jnp.concatenate([jnp.zeros_like(x), h[0], jnp.zeros(1, x.dtype)])
        driven, communicated = self.weight @ from_input, self.weight @ from_state
        z, r = jax.nn.sigmoid(driven[:2] + communicated[:2])
        candidate = jnp.tanh(driven[2] + r * (communicated[2] + self.recurrent_bias))
        return z * own + (1 - z) * candidate


class GRUConfig(CellConfig):
    """Settings of a GRU."""

    cell = GRU
