"""The linear recurrent unit."""

import math
from collections.abc import Callable
from typing import ClassVar, Self

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from rtrrl.cells.base import Cell, CellConfig, Input, State, Unit, lecun_normal
from rtrrl.cells.eigenvalues import EigenvalueInitializer, UniformRing, bounded
from rtrrl.cells.rtu import initial_theta_log, rotate
from rtrrl.types import Key
from rtrrl.utils import validation


class LRU(Cell):
    """h' = Λ h + e^γ B x, features y = Re(C h) + D x (Orvieto et al. 2023).

    Λ = exp(−e^{cν} + i e^{cϑ}); γ starts at log √(1 − |Λ|²) and is free. C and D are feed-forward:
    their gradient is immediate. Without an input `features` leaves D x out. c is `pace`, as for
    the RTU.

    **Raises** `ValueError` where `max_phase` or `pace` is not positive and finite.
    """

    nu: Float[Array, "hidden"]
    theta_log: Float[Array, "hidden"]
    gamma_log: Float[Array, "hidden"]
    weight: Float[Array, "2 inputs hidden"]
    readout: Float[Array, "2 units hidden"]
    skip: Float[Array, "inputs hidden"]
    input_size: int = eqx.field(static=True)
    hidden_size: int = eqx.field(static=True)
    eigenvalue_lr_scale: float = eqx.field(static=True)

    components: ClassVar[int] = 2
    feedforward: ClassVar[tuple[str, ...]] = ("readout", "skip")

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
        keys = jax.random.split(key, 5)
        nu = eigenvalues.nu(keys[0], hidden_size)
        self.nu = nu / eigenvalue_lr_scale
        self.theta_log = initial_theta_log(keys[1], hidden_size, max_phase) / eigenvalue_lr_scale
        self.gamma_log = 0.5 * jnp.log(1 - jnp.exp(-2 * jnp.exp(nu)))
        self.weight = lecun_normal(keys[2], (2, input_size, hidden_size), 2 * input_size)
        self.readout = lecun_normal(keys[3], (2, hidden_size, hidden_size), hidden_size)
        self.skip = lecun_normal(keys[4], (input_size, hidden_size), input_size)

    def unit(self, own: Unit, h: State, x: Input) -> Unit:
        """Λ own + e^γ b x, on real pairs."""
        del h
        r = jnp.exp(-jnp.exp(self.eigenvalue_lr_scale * self.nu))
        return rotate(own, r, self.eigenvalue_lr_scale * self.theta_log) + jnp.exp(
            self.gamma_log
        ) * (self.weight @ x)

    @property
    def diagonal(self) -> bool:
        """No unit reads another."""
        return True

    @property
    def feature_size(self) -> int:
        """One real feature per unit."""
        return self.hidden_size

    def features(self, h: State, x: Input | None = None) -> Float[Array, "features"]:
        """Re(C h) + D x."""
        y = h[0] @ self.readout[0] - h[1] @ self.readout[1]
        return y if x is None else y + x @ self.skip

    def project(self) -> Self:
        """|Λ| ≤ 0.9999."""
        return eqx.tree_at(
            lambda cell: cell.nu,
            self,
            bounded(self.eigenvalue_lr_scale * self.nu) / self.eigenvalue_lr_scale,
        )


class LRUConfig(CellConfig):
    """Settings of an LRU."""

    cell: ClassVar[Callable[..., Cell]] = LRU
    eigenvalues: EigenvalueInitializer = UniformRing()
    max_phase: float = 2 * math.pi
    eigenvalue_lr_scale: float = eqx.field(static=True, default=1.0)
    """c, how fast Λ moves beside the input weights."""

    def __check_init__(self) -> None:
        validation.require_static(eigenvalue_lr_scale=self.eigenvalue_lr_scale)
        validation.positive(max_phase=self.max_phase, eigenvalue_lr_scale=self.eigenvalue_lr_scale)
