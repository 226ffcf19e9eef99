"""What the cells with a complex diagonal recurrence share: eigenvalues, rotation, projection."""

import dataclasses
import math
from typing import Self

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from rtrrl.cells.base import Cell, CellConfig, Unit
from rtrrl.cells.eigenvalues import EigenvalueInitializer, UniformRing, bounded
from rtrrl.types import Key
from rtrrl.utils import validation
from rtrrl.utils.trigonometry import cos_sin


class ComplexDiagonalCell(Cell):
    """A recurrence by Λ = r e^{iθ}, r = exp(−e^{cν}), θ = e^{cϑ}, one complex number per unit.

    The state holds the real and the imaginary part of every unit. Initial moduli r are drawn by
    `eigenvalues`, initial phases θ are uniform in (0, max_phase).

    c is `eigenvalue_lr_scale`, 1 in the literature. Under an optimizer with steps of the same size
    for all weights, such as Adam for gradients above its ε, Λ moves c times as fast as the input
    weights; where steps are proportional to the gradient, c² times. A memory that is read T steps
    later has turned by T θ, so that a step which is small for an input weight may reverse it.

    **Raises** `SettingError` where `max_phase` or `eigenvalue_lr_scale` is not positive and finite.
    """

    nu: Float[Array, "hidden"]
    theta_log: Float[Array, "hidden"]
    input_size: int = eqx.field(static=True)
    hidden_size: int = eqx.field(static=True)
    eigenvalue_lr_scale: float = eqx.field(static=True)

    components = 2

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        *,
        nu_key: Key,
        theta_key: Key,
        eigenvalues: EigenvalueInitializer = UniformRing(),  # noqa: B008 (frozen)
        max_phase: float = 2 * math.pi,
        eigenvalue_lr_scale: float = 1.0,
    ):
        validation.static_positive(eigenvalue_lr_scale=eigenvalue_lr_scale)
        validation.positive(max_phase=max_phase)
        self.input_size = input_size
        self.hidden_size = hidden_size
        self.eigenvalue_lr_scale = eigenvalue_lr_scale
        theta = max_phase * jax.random.uniform(theta_key, (hidden_size,), minval=1e-6)
        self.nu = eigenvalues.nu(nu_key, hidden_size) / eigenvalue_lr_scale
        self.theta_log = jnp.log(theta) / eigenvalue_lr_scale

    def modulus(self) -> Float[Array, "*hidden"]:
        """r = exp(−e^{cν})."""
        return jnp.exp(-jnp.exp(self.eigenvalue_lr_scale * self.nu))

    def rotate(self, own: Unit, r: Float[Array, ""]) -> Unit:
        """Λ h of one unit: a rotation by θ = e^{cϑ}, scaled by r."""
        cos, sin = cos_sin(jnp.exp(self.eigenvalue_lr_scale * self.theta_log))
        return r * jnp.stack([cos * own[0] - sin * own[1], sin * own[0] + cos * own[1]])

    @property
    def diagonal(self) -> bool:
        return True

    def project(self) -> Self:
        """r ≤ 0.9999."""
        c = self.eigenvalue_lr_scale
        return eqx.tree_at(lambda cell: cell.nu, self, bounded(c * self.nu) / c)


class ComplexDiagonalConfig(CellConfig):
    """Settings of the eigenvalues."""

    _: dataclasses.KW_ONLY
    eigenvalues: EigenvalueInitializer = UniformRing()
    """The distribution of the initial |Λ|."""
    max_phase: float = 2 * math.pi
    """The largest initial phase of Λ, in radians."""
    eigenvalue_lr_scale: float = eqx.field(static=True, default=1.0)
    """c, the learning-rate scale of Λ relative to that of the input weights."""

    def __check_init__(self) -> None:
        validation.positive(max_phase=self.max_phase, eigenvalue_lr_scale=self.eigenvalue_lr_scale)
