"""Recurrent trace units: complex diagonal recurrences with exact, cheap RTRL."""

import math
from collections.abc import Callable
from typing import Any, ClassVar, Self

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from rtrrl.cells.base import Cell, CellConfig, Input, State, Unit, lecun_normal
from rtrrl.cells.eigenvalues import EigenvalueInitializer, UniformRing, bounded
from rtrrl.types import Key
from rtrrl.utils import validation
from rtrrl.utils.trigonometry import cos_sin

GAIN = 3.0
"""Of an input that saturates: at birth, inputs of unit size reach into the bend of the tanh."""


class RTU(Cell):
    """h' = Λ h + √(1 − r²) B x, Λ = r e^{iθ}, r = exp(−e^{cν}), θ = e^{cϑ} (Elelimy et al. 2024).

    The state holds real and imaginary part of each unit; the features are tanh of both. Initial
    retentions r are drawn by `retention`, initial phases are uniform in (0, max_phase).

    c is `pace`, 1 in the literature. Where an optimizer makes steps of one size for all weights,
    as Adam does of gradients above its ε, Λ moves c times as fast as B; where steps grow with
    the gradient, c² times. A memory that is read T steps later has turned by T θ: what is a small
    step for B may turn it round.

    **Raises** `ValueError` where `max_phase` or `pace` is not positive and finite.
    """

    nu: Float[Array, "hidden"]
    theta_log: Float[Array, "hidden"]
    weight: Float[Array, "2 inputs hidden"]
    input_size: int = eqx.field(static=True)
    hidden_size: int = eqx.field(static=True)
    eigenvalue_lr_scale: float = eqx.field(static=True)

    components: ClassVar[int] = 2

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        *,
        key: Key,
        eigenvalues: EigenvalueInitializer = UniformRing(),  # noqa: B008 (frozen)
        max_phase: float = 2 * math.pi,
        eigenvalue_lr_scale: float = 1.0,
    ):
        validation.require_static(eigenvalue_lr_scale=eigenvalue_lr_scale)
        validation.positive(eigenvalue_lr_scale=eigenvalue_lr_scale)
        self.input_size, self.hidden_size, self.eigenvalue_lr_scale = (
            input_size,
            hidden_size,
            eigenvalue_lr_scale,
        )
        key_nu, key_theta, key_weight = jax.random.split(key, 3)
        self.nu = eigenvalues.nu(key_nu, hidden_size) / eigenvalue_lr_scale
        self.theta_log = initial_theta_log(key_theta, hidden_size, max_phase) / eigenvalue_lr_scale
        self.weight = lecun_normal(key_weight, (2, input_size, hidden_size), 2 * input_size)

    def unit(self, own: Unit, h: State, x: Input) -> Unit:
        """Λ own + √(1 − r²) b x, on real pairs."""
        del h
        r = jnp.exp(-jnp.exp(self.eigenvalue_lr_scale * self.nu))
        return rotate(own, r, self.eigenvalue_lr_scale * self.theta_log) + jnp.sqrt(
            1 - r**2
        ) * self.drive(x)

    def drive(self, x: Input) -> Unit:
        """What a unit hears of the input: B x."""
        return self.weight @ x

    @property
    def diagonal(self) -> bool:
        """No unit reads another."""
        return True

    def features(self, h: State, x: Input | None = None) -> Float[Array, "features"]:
        """tanh of all real and imaginary parts."""
        del x
        return jnp.tanh(h).ravel()

    def project(self) -> Self:
        """r ≤ 0.9999."""
        return eqx.tree_at(
            lambda cell: cell.nu,
            self,
            bounded(self.eigenvalue_lr_scale * self.nu) / self.eigenvalue_lr_scale,
        )


class NonlinearRTU(RTU):
    """RTU with the nonlinearity inside the recurrence: h' = tanh(Λ h + √(1 − r²) B x)."""

    def unit(self, own: Unit, h: State, x: Input) -> Unit:
        """tanh of the linear unit."""
        return jnp.tanh(super().unit(own, h, x))

    def features(self, h: State, x: Input | None = None) -> Float[Array, "features"]:
        """The state as it is."""
        del x
        return h.ravel()


class SaturatingRTU(RTU):
    """RTU whose input saturates: h' = Λ h + √(1 − r²) tanh(g B x).

    A sum of inputs is all that a linear recurrence can keep. Where a unit's input saturates, one
    entry of x can silence the others: a first card is heard while there is no last action yet, and
    no later one. What it costs is the size of large inputs (docs/stability.md).

    **Raises** `ValueError` where `gain`, g, is not positive and finite.
    """

    gain: float = eqx.field(static=True)

    def __init__(
        self, input_size: int, hidden_size: int, *, key: Key, gain: float = GAIN, **settings: Any
    ):
        validation.require_static(gain=gain)
        validation.positive(gain=gain)
        self.gain = gain
        super().__init__(input_size, hidden_size, key=key, **settings)

    def drive(self, x: Input) -> Unit:
        """tanh(g B x)."""
        return jnp.tanh(self.gain * super().drive(x))


class RTUConfig(CellConfig):
    """Settings of an RTU."""

    cell: ClassVar[Callable[..., Cell]] = RTU
    eigenvalues: EigenvalueInitializer = UniformRing()
    max_phase: float = 2 * math.pi
    eigenvalue_lr_scale: float = eqx.field(static=True, default=1.0)
    """c, how fast Λ moves beside the input weights."""

    def __check_init__(self) -> None:
        validation.require_static(eigenvalue_lr_scale=self.eigenvalue_lr_scale)
        validation.positive(max_phase=self.max_phase, eigenvalue_lr_scale=self.eigenvalue_lr_scale)


class NonlinearRTUConfig(RTUConfig):
    """Settings of a nonlinear RTU."""

    cell: ClassVar[Callable[..., Cell]] = NonlinearRTU


class SaturatingRTUConfig(RTUConfig):
    """Settings of an RTU whose input saturates."""

    cell: ClassVar[Callable[..., Cell]] = SaturatingRTU
    gain: float = eqx.field(static=True, default=GAIN)
    """g, how soon the input saturates."""

    def __check_init__(self) -> None:
        validation.require_static(gain=self.gain)
        validation.positive(gain=self.gain)


def rotate(own: Unit, r: Float[Array, ""], theta_log: Float[Array, ""]) -> Unit:
    """Λ h on a real pair: a rotation by e^ϑ, shrunk by r."""
    cos, sin = cos_sin(jnp.exp(theta_log))
    return r * jnp.stack([cos * own[0] - sin * own[1], sin * own[0] + cos * own[1]])


def initial_theta_log(key: Key, hidden_size: int, max_phase: float) -> Float[Array, "hidden"]:
    """ϑ = log(max_phase · u)."""
    validation.positive(max_phase=max_phase)
    return jnp.log(max_phase * jax.random.uniform(key, (hidden_size,), minval=1e-6))
