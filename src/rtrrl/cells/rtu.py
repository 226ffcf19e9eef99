"""Recurrent trace units: complex diagonal recurrences with exact, cheap RTRL."""

import dataclasses
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from rtrrl.cells.base import Input, State, Unit, lecun_normal
from rtrrl.cells.complex_diagonal import ComplexDiagonalCell, ComplexDiagonalConfig
from rtrrl.types import Key
from rtrrl.utils import validation

GAIN = 3.0
"""The default gain of a saturating input: initially, inputs of unit size reach the tanh's bend."""


class RTU(ComplexDiagonalCell):
    """h' = Λ h + √(1 − r²) B x, features tanh of both components (Elelimy et al. 2024).

    Λ and the settings are those of `ComplexDiagonalCell`.
    """

    weight: Float[Array, "2 inputs hidden"]

    def __init__(self, input_size: int, hidden_size: int, *, key: Key, **settings: Any):
        nu_key, theta_key, weight_key = jax.random.split(key, 3)
        super().__init__(input_size, hidden_size, nu_key=nu_key, theta_key=theta_key, **settings)
        self.weight = lecun_normal(weight_key, (2, input_size, hidden_size), 2 * input_size)

    def unit(self, own: Unit, h: State, x: Input) -> Unit:
        """Λ own + √(1 − r²) b x, on real pairs."""
        r = self.modulus()
        return self.rotate(own, r) + jnp.sqrt(1 - r**2) * self.drive(x)

    def drive(self, x: Input) -> Unit:
        """B x, the input of one unit."""
        return self.weight @ x

    def features(self, h: State, x: Input | None = None) -> Float[Array, "features"]:
        """tanh of all real and imaginary parts."""
        return jnp.tanh(h).ravel()


class NonlinearRTU(RTU):
    """RTU with the nonlinearity inside the recurrence: h' = tanh(Λ h + √(1 − r²) B x)."""

    def unit(self, own: Unit, h: State, x: Input) -> Unit:
        """tanh of the linear unit."""
        return jnp.tanh(super().unit(own, h, x))

    def features(self, h: State, x: Input | None = None) -> Float[Array, "features"]:
        """The state."""
        return h.ravel()


class SaturatingRTU(RTU):
    """RTU whose input saturates: h' = Λ h + √(1 − r²) tanh(g B x).

    The state of a linear recurrence is a weighted sum of its inputs. Where a unit's input
    saturates, one entry of x can mask the others: with large weights of the last action, which is
    zero in an episode's first step, a unit stores the first observation and ignores the later ones.
    The cost is that the size of large inputs is lost (docs/stability.md).

    **Raises** `SettingError` where `gain`, g, is not positive and finite.
    """

    gain: float = eqx.field(static=True)

    def __init__(
        self, input_size: int, hidden_size: int, *, key: Key, gain: float = GAIN, **settings: Any
    ):
        validation.static_positive(gain=gain)
        self.gain = gain
        super().__init__(input_size, hidden_size, key=key, **settings)

    def drive(self, x: Input) -> Unit:
        """tanh(g B x)."""
        return jnp.tanh(self.gain * super().drive(x))


class RTUConfig(ComplexDiagonalConfig):
    """Settings of an RTU."""

    cell = RTU


class NonlinearRTUConfig(RTUConfig):
    """Settings of a nonlinear RTU."""

    cell = NonlinearRTU


class SaturatingRTUConfig(RTUConfig):
    """Settings of an RTU whose input saturates."""

    cell = SaturatingRTU
    _: dataclasses.KW_ONLY
    gain: float = eqx.field(static=True, default=GAIN)
    """g, the gain of the input: the larger, the sooner it saturates."""

    def __check_init__(self) -> None:
        validation.positive(gain=self.gain)
