"""The continuous-time recurrent network of the paper."""

import dataclasses
from typing import Self

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from rtrrl.cells.base import CellConfig, Input, LeakyCell, State, Unit, lecun_normal
from rtrrl.cells.wirings import Diagonal, FullyConnected, Mask, Wiring
from rtrrl.errors import SettingError
from rtrrl.types import Key
from rtrrl.utils import validation


class CTRNN(LeakyCell):
    """τ ḣ = −h + tanh(W ξ), ξ = [x; h; 1], by forward Euler (Murray 2019; RTRRL §2).

        h' = h + (dt/τ)(−h + tanh(W ξ)),   1/dt micro-steps a step

    The time constants τ, one per unit, are trained and kept ≥ 1, so that the leak 1 − dt/τ stays
    in [0, 1).

    **Raises** `SettingError` where `dt` is not 1/k for a whole k.

    >>> import jax
    >>> cell = CTRNN(input_size=3, hidden_size=4, key=jax.random.key(0))
    >>> cell(cell.initial_state(), jax.numpy.ones(3)).shape
    (1, 4)
    """

    weight: Float[Array, "columns hidden"]
    tau: Float[Array, "hidden"]
    mask: Mask
    input_size: int = eqx.field(static=True)
    hidden_size: int = eqx.field(static=True)
    dt: float = eqx.field(static=True)
    wiring: Wiring = eqx.field(static=True)

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        *,
        key: Key,
        dt: float = 1.0,
        wiring: Wiring = FullyConnected(),  # noqa: B008 (frozen)
    ):
        _check_dt(dt)
        weight_key, tau_key, mask_key = jax.random.split(key, 3)
        self.input_size, self.hidden_size = input_size, hidden_size
        self.dt, self.wiring = dt, wiring
        self.mask = wiring.mask(input_size, hidden_size, mask_key)
        fan_in = self.mask[:-1].sum(axis=0)
        weight = lecun_normal(weight_key, self.mask.shape, 1) / jnp.sqrt(fan_in)
        self.weight = jnp.where(self.mask, weight, 0.0).at[-1].set(0.0)
        self.tau = jax.random.uniform(tau_key, (hidden_size,), minval=1.0, maxval=5.0)

    def unit(self, own: Unit, h: State, x: Input) -> Unit:
        """own + (dt/τ)(−own + tanh(w · [x; h; 1]))."""
        xi = jnp.concatenate([x, h[0], jnp.ones(1, x.dtype)])
        weight = self.weight if isinstance(self.wiring, FullyConnected) else self.weight * self.mask
        return own + self.dt / self.tau * (jnp.tanh(weight @ xi) - own)

    @property
    def micro_steps(self) -> int:
        return round(1 / self.dt)

    @property
    def diagonal(self) -> bool:
        return isinstance(self.wiring, Diagonal)

    def project(self) -> Self:
        """τ ≥ 1."""
        return eqx.tree_at(lambda cell: cell.tau, self, jnp.maximum(self.tau, 1.0))


class CTRNNConfig(CellConfig):
    """Settings of a CT-RNN."""

    cell = CTRNN
    _: dataclasses.KW_ONLY
    dt: float = eqx.field(static=True, default=1.0)
    """The Euler step, 1/k for k micro-steps a step."""
    wiring: Wiring = FullyConnected()
    """Which weights exist."""

    def __check_init__(self) -> None:
        _check_dt(self.dt)


def _check_dt(dt: float) -> None:
    validation.require_static(dt=dt)
    if not 0 < dt <= 1 or abs(1 / dt - round(1 / dt)) > 1e-9:
        raise SettingError(f"dt is {dt}: it must be 1/k for a whole k, such as 1, 0.5 or 0.1")
