"""Local rules: each unit carries the influence of its own weights on its own state.

    Pᵢ' = Dᵢ Pᵢ + ∂h'ᵢ/∂θᵢ          one number per weight and state component

The rules differ in what they keep of the state's Jacobian in the k × k block Dᵢ.
"""

import abc
import functools

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from rtrrl.cells import Cell, LeakyCell, recurrent_parameters
from rtrrl.cells.base import Input, State
from rtrrl.errors import UnsupportedCellError
from rtrrl.gradients.base import (
    GradientRule,
    UnitJacobians,
    communication_jacobian,
    unit_jacobians,
)
from rtrrl.types import Key, PyTree


class LocalRule(GradientRule):
    """The recursion that the local rules share."""

    @abc.abstractmethod
    def block(self, cell: Cell, h: State, x: Input, unit: UnitJacobians) -> Float[Array, "k k h"]:
        """Dᵢ, the part of ∂h'ᵢ/∂hᵢ that the rule keeps."""

    def init(self, cell: Cell, key: Key | None = None) -> PyTree:
        """Zeros `[k, *row, hidden]` for each leaf `[*row, hidden]` of the recurrent parameters."""
        return jax.tree.map(
            lambda leaf: jnp.zeros((cell.components, *leaf.shape), leaf.dtype),
            recurrent_parameters(cell),
        )

    def step(self, cell: Cell, influence: PyTree, h: State, x: Input) -> tuple[State, PyTree]:
        def micro_step(_, carry):
            h, influence = carry
            unit = unit_jacobians(cell, h, x)
            block = self.block(cell, h, x, unit)
            carried = jax.tree.map(lambda P: _apply(block, P), influence)
            return unit.h, jax.tree.map(jnp.add, carried, unit.immediate)

        return jax.lax.fori_loop(0, cell.micro_steps, micro_step, (h, influence))

    def pullback(self, cell: Cell, influence: PyTree, h_bar: State) -> PyTree:
        """θ̄ᵢ = Σₐ h̄ᵢₐ Pᵢₐ."""
        components = range(cell.components)
        return jax.tree.map(lambda P: sum(h_bar[a] * P[a] for a in components), influence)


class SnAp1(LocalRule):
    """SnAp-1 (Menick et al. 2021): Dᵢ is the unit's block of the Jacobian, self-weight included."""

    def block(self, cell: Cell, h: State, x: Input, unit: UnitJacobians) -> Float[Array, "k k h"]:
        own = jnp.arange(cell.hidden_size)
        communicated = communication_jacobian(cell, h, x)[:, own, :, own]
        return unit.leak + jnp.moveaxis(communicated, 0, -1)


class DiagonalRTRL(LocalRule):
    """RTRL with one number per parameter, exact where units do not read each other.

    There ∂h'ᵢ/∂hⱼ is zero for i ≠ j (Zucchet et al. 2023). The rule relies on the cell's
    `diagonal`; `rtrrl.certify` measures whether that is true.
    """

    def init(self, cell: Cell, key: Key | None = None) -> PyTree:
        if not cell.diagonal:
            raise UnsupportedCellError(
                f"diagonal RTRL is exact only where no unit reads another, and those of "
                f"{type(cell).__name__} do: use SnAp1 (approximate) or RTRL (exact), "
                f"or an RTU, an LRU or a CTRNN with diagonal wiring"
            )
        return super().init(cell, key)

    def block(self, cell: Cell, h: State, x: Input, unit: UnitJacobians) -> Float[Array, "k k h"]:
        # no unit reads another, so one tangent for all units gives a column of each Dᵢ
        step = lambda h: cell.micro_step(h, x)  # noqa: E731
        column = lambda e: jax.jvp(step, (h,), (jnp.broadcast_to(e[:, None], h.shape),))[1]  # noqa: E731
        return jax.vmap(column, out_axes=1)(jnp.eye(cell.components, dtype=h.dtype))


class RFLO(LocalRule):
    """RFLO (Murray 2019; RTRRL §2): Dᵢ is the leak alone.

    For a CT-RNN  P_W' = (1 − dt/τ) P_W + (dt/τ) φ'(Wξ) ξᵀ.
    """

    def init(self, cell: Cell, key: Key | None = None) -> PyTree:
        if not isinstance(cell, LeakyCell):
            raise UnsupportedCellError(
                f"RFLO carries the constant leak of a unit and {type(cell).__name__} has none: "
                f"use SnAp1 or RTRL with it, or a CTRNN"
            )
        return super().init(cell, key)

    def block(self, cell: Cell, h: State, x: Input, unit: UnitJacobians) -> Float[Array, "k k h"]:
        return unit.leak


class Immediate(LocalRule):
    """SnAp-0: no influence is carried from step to step; between micro-steps, the leak alone."""

    def step(self, cell: Cell, influence: PyTree, h: State, x: Input) -> tuple[State, PyTree]:
        return super().step(cell, jax.tree.map(jnp.zeros_like, influence), h, x)

    def block(self, cell: Cell, h: State, x: Input, unit: UnitJacobians) -> Float[Array, "k k h"]:
        return unit.leak


def _apply(block: Float[Array, "k k h"], P: Float[Array, "k *row h"]) -> Float[Array, "k *row h"]:
    # k is 1 or 2: XLA makes one vectorised loop of this sum, which it does not of a reduction
    rows = tuple(range(1, P.ndim - 1))
    terms = [jnp.expand_dims(block[:, b], rows) * P[b] for b in range(block.shape[1])]
    return functools.reduce(jnp.add, terms)
