"""What every online gradient rule is: an influence carried forward, a vector pulled back."""

import abc
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from rtrrl.cells import Cell, recurrent_parameters
from rtrrl.cells.base import UNITS, Input, State
from rtrrl.types import Key, PyTree

Influence = Any


class GradientRule(eqx.Module):
    """Carries an influence P ≈ ∂h/∂θ forward in time (docs/architecture.md).

    `pullback(cell, P, h̄)` returns h̄ᵀ P, the gradient of the recurrent parameters, as a pytree
    of the cell's structure with None where a leaf is not carried.
    """

    @abc.abstractmethod
    def init(self, cell: Cell, key: Key | None = None) -> Influence:
        """The influence at the start of an episode; `key` seeds rules that sample.

        **Raises** `UnsupportedCellError` where the rule does not fit the cell.
        """

    def restart(self, cell: Cell, influence: Influence) -> Influence:
        """The influence at the start of the next episode."""
        del influence
        return self.init(cell)

    @abc.abstractmethod
    def step(self, cell: Cell, influence: Influence, h: State, x: Input) -> tuple[State, Influence]:
        """One step of the cell and of the influence: (h', P')."""

    @abc.abstractmethod
    def pullback(self, cell: Cell, influence: Influence, h_bar: State) -> PyTree:
        """h̄ᵀ P."""


class UnitJacobians(eqx.Module):
    """The derivatives of one micro-step within each unit."""

    h: State
    """h'."""
    leak: Float[Array, "k k hidden"]
    """∂h'ᵢ/∂ownᵢ, at fixed communication."""
    immediate: PyTree
    """∂h'ᵢ/∂θᵢ at fixed h, each leaf `[k, *row, hidden]`."""


def unit_jacobians(cell: Cell, h: State, x: Input) -> UnitJacobians:
    """Differentiates the cell's `unit` for each unit apart."""
    learnt = recurrent_parameters(cell)
    rest = jax.tree.map(
        lambda leaf, carried: None if carried is not None else leaf,
        cell,
        learnt,
        is_leaf=lambda leaf: leaf is None,
    )

    def unit(learnt_row: PyTree, own: Array, rest_row: PyTree) -> tuple[Array, Array]:
        new = eqx.combine(learnt_row, rest_row).unit(own, h, x)
        return new, new

    differentiate = jax.jacrev(unit, argnums=(0, 1), has_aux=True)
    (immediate, leak), new = eqx.filter_vmap(differentiate, in_axes=UNITS, out_axes=-1)(
        learnt, h, rest
    )
    return UnitJacobians(new, leak, immediate)


def communication_jacobian(cell: Cell, h: State, x: Input) -> Float[Array, "k hidden k hidden"]:
    """∂h'ᵢ/∂hⱼ as the units communicate it, without the leak."""
    differentiate = jax.jacrev(lambda unit, own, h: unit.unit(own, h, x), argnums=2)
    return eqx.filter_vmap(differentiate, in_axes=(UNITS, -1, None), out_axes=1)(cell, h, h)


def zero_influence(cell: Cell) -> PyTree:
    """One number per recurrent weight and state component: zeros `[k, *row, hidden]`."""
    return jax.tree.map(
        lambda leaf: jnp.zeros((cell.components, *leaf.shape), leaf.dtype),
        recurrent_parameters(cell),
    )
