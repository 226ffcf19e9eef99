"""The long short-term memory."""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from rtrrl.cells.base import Cell, CellConfig, Input, State, Unit, lecun_normal
from rtrrl.types import Key


class LSTM(Cell):
    """c' = f c + i g, h' = o tanh c' (Hochreiter & Schmidhuber 1997; Gers et al. 2000).

        i, f, o = σ(W [x; h; 1]),   g = tanh(W [x; h; 1])

    The state of a unit is (h, c). Units read each other's h but not c, and the features are h.
    `weight[g]` are the columns of the input gate (0), the forget gate (1), the candidate (2) and
    the output gate (3) over [x; h; 1]; the forget gate's bias starts at 1.
    """

    weight: Float[Array, "4 columns hidden"]
    input_size: int = eqx.field(static=True)
    hidden_size: int = eqx.field(static=True)

    components = 2

    def __init__(self, input_size: int, hidden_size: int, *, key: Key):
        self.input_size, self.hidden_size = input_size, hidden_size
        fan_in = input_size + hidden_size
        weight = lecun_normal(key, (4, fan_in + 1, hidden_size), fan_in)
        self.weight = weight.at[:, -1].set(jnp.array([[0.0], [1.0], [0.0], [0.0]]))

    def unit(self, own: Unit, h: State, x: Input) -> Unit:
        """(o tanh c', c') with c' = f c + i g."""
        driven = self.weight @ jnp.concatenate([x, h[0], jnp.ones(1, x.dtype)])
        i, f, o = jax.nn.sigmoid(driven[jnp.array([0, 1, 3])])
        c = f * own[1] + i * jnp.tanh(driven[2])
        return jnp.stack([o * jnp.tanh(c), c])

    @property
    def feature_size(self) -> int:
        return self.hidden_size

    def features(self, h: State, x: Input | None = None) -> Float[Array, "features"]:
        return h[0]


class LSTMConfig(CellConfig):
    """Settings of an LSTM."""

    cell = LSTM
