"""Local rules: each unit carries the influence of its own weights on its own state.

    Pᵢ' = Dᵢ Pᵢ + ∂h'ᵢ/∂θᵢ          one number per weight and state component

The rules differ in what they keep of the state's Jacobian in the k × k block Dᵢ.
"""

import abc
import functools

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from rtrrl.cells import Cell, LeakyCell
from rtrrl.cells.base import Input, State
from rtrrl.errors import UnsupportedCellError
from rtrrl.gradients.base import (
    GradientRule,
    UnitJacobians,
    communication_jacobian,
    unit_jacobians,
    zero_influence,
)
from rtrrl.types import Key, PyTree


class LocalRule(GradientRule):
    """The recursion that the local rules share."""

    @abc.abstractmethod
    def block(self, cell: Cell, h: State, x: Input, unit: UnitJacobians) -> Float[Array, "k k h"]:
        """Dᵢ, what the rule keeps of ∂h'ᵢ/∂hᵢ."""

    def init(self, cell: Cell, key: Key | None = None) -> PyTree:
        """Zeros, one number per weight and state component."""
        del key
        return zero_influence(cell)

    def step(self, cell: Cell, influence: PyTree, h: State, x: Input) -> tuple[State, PyTree]:
        """Carries the influence through each micro-step."""

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
    """SnAp-1 (Menick et al. 2021): the unit's own block of the Jacobian, self-weight included."""

    def block(self, cell: Cell, h: State, x: Input, unit: UnitJacobians) -> Float[Array, "k k h"]:
        """∂h'ᵢ/∂hᵢ whole."""
        own = jnp.arange(cell.hidden_size)
        communicated = communication_jacobian(cell, h, x)[:, own, :, own]
        return unit.leak + jnp.moveaxis(communicated, 0, -1)


class DiagonalRTRL(LocalRule):
    """Exact RTRL at the cost of the parameters, for cells whose units do not read each other.

    Dropping what units tell each other drops nothing there (Zucchet et al. 2023).
    """

    def init(self, cell: Cell, key: Key | None = None) -> PyTree:
        """Zeros; refuses a cell whose units read each other."""
        if not cell.diagonal:
            raise UnsupportedCellError(
                f"diagonal RTRL is exact only where no unit reads another, and those of "
                f"{type(cell).__name__} do: use SnAp1 (approximate) or RTRL (exact), "
                f"or an RTU, an LRU or a CTRNN with diagonal wiring"
            )
        return super().init(cell, key)

    def block(self, cell: Cell, h: State, x: Input, unit: UnitJacobians) -> Float[Array, "k k h"]:
        """∂h'ᵢ/∂hᵢ, of all units at once: moving one component of every unit mixes nothing."""
        del unit
        step = lambda h: cell.micro_step(h, x)  # noqa: E731
        column = lambda e: jax.jvp(step, (h,), (jnp.broadcast_to(e[:, None], h.shape),))[1]  # noqa: E731
        return jax.vmap(column, out_axes=1)(jnp.eye(cell.components, dtype=h.dtype))


class RFLO(LocalRule):
    """RFLO (Murray 2019): the leak alone, no communicated term (RTRRL §2).

    For a CT-RNN  P_W' = (1 − dt/τ) P_W + (dt/τ) φ'(Wξ) ξᵀ.
    """

    def init(self, cell: Cell, key: Key | None = None) -> PyTree:
        """Zeros; refuses a cell without a leak."""
        if not isinstance(cell, LeakyCell):
            raise UnsupportedCellError(
                f"RFLO carries a leaky unit's own decay and {type(cell).__name__} has none: "
                f"use SnAp1 or RTRL with it, or a CTRNN"
            )
        return super().init(cell, key)

    def block(self, cell: Cell, h: State, x: Input, unit: UnitJacobians) -> Float[Array, "k k h"]:
        """The leak."""
        del cell, h, x
        return unit.leak


class Immediate(LocalRule):
    """SnAp-0: nothing is carried from one step to the next; within a step, the leak."""

    def step(self, cell: Cell, influence: PyTree, h: State, x: Input) -> tuple[State, PyTree]:
        """Each step starts from no influence."""
        return super().step(cell, jax.tree.map(jnp.zeros_like, influence), h, x)

    def block(self, cell: Cell, h: State, x: Input, unit: UnitJacobians) -> Float[Array, "k k h"]:
        """The leak, from one micro-step to the next."""
        del cell, h, x
        return unit.leak


def _apply(block: Float[Array, "k k h"], P: Float[Array, "k *row h"]) -> Float[Array, "k *row h"]:
    # k is 1 or 2: written out, XLA makes one vectorised loop of it, of a reduction it does not
    terms = [_over_rows(block[:, b], P) * P[b] for b in range(block.shape[1])]
    return functools.reduce(jnp.add, terms)


def _over_rows(left: Float[Array, "k h"], P: Float[Array, "k *row h"]) -> Float[Array, "..."]:
    return jnp.expand_dims(left, tuple(range(1, P.ndim - 1)))
