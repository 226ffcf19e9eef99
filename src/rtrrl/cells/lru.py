"""The linear recurrent unit."""

from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from rtrrl.cells.base import Input, State, Unit, lecun_normal
from rtrrl.cells.complex_diagonal import ComplexDiagonalCell, ComplexDiagonalConfig
from rtrrl.types import Key


class LRU(ComplexDiagonalCell):
    """h' = Λ h + e^γ B x, features y = Re(C h) + D x (Orvieto et al. 2023).

    Λ and the settings are those of `ComplexDiagonalCell`; γ starts at log √(1 − |Λ|²) and is
    trained. C and D are feed-forward: their gradient is immediate. Without an input `features`
    leaves D x out.
    """

    gamma_log: Float[Array, "hidden"]
    weight: Float[Array, "2 inputs hidden"]
    readout: Float[Array, "2 units hidden"]
    skip: Float[Array, "inputs hidden"]

    feedforward = ("readout", "skip")

    def __init__(self, input_size: int, hidden_size: int, *, key: Key, **settings: Any):
        keys = jax.random.split(key, 5)
        super().__init__(input_size, hidden_size, nu_key=keys[0], theta_key=keys[1], **settings)
        nu = self.eigenvalue_lr_scale * self.nu
        self.gamma_log = 0.5 * jnp.log(1 - jnp.exp(-2 * jnp.exp(nu)))
        self.weight = lecun_normal(keys[2], (2, input_size, hidden_size), 2 * input_size)
        self.readout = lecun_normal(keys[3], (2, hidden_size, hidden_size), hidden_size)
        self.skip = lecun_normal(keys[4], (input_size, hidden_size), input_size)

    def unit(self, own: Unit, h: State, x: Input) -> Unit:
        """Λ own + e^γ b x, on real pairs."""
        return self.rotate(own, self.modulus()) + jnp.exp(self.gamma_log) * (self.weight @ x)

    @property
    def feature_size(self) -> int:
        return self.hidden_size

    def features(self, h: State, x: Input | None = None) -> Float[Array, "features"]:
        """Re(C h) + D x."""
        y = h[0] @ self.readout[0] - h[1] @ self.readout[1]
        return y if x is None else y + x @ self.skip


class LRUConfig(ComplexDiagonalConfig):
    """Settings of an LRU."""

    cell = LRU
