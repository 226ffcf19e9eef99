"""The base class of online gradient rules, and the Jacobians that they are made of."""

import abc
from typing import Any

import equinox as eqx
import jax
from jaxtyping import Array, Float

from rtrrl.cells import Cell, recurrent_parameters
from rtrrl.cells.base import UNITS, Input, State
from rtrrl.types import Key, PyTree
from rtrrl.utils.validation import Settings

Influence = Any


class GradientRule(Settings):
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
    """Differentiate the cell's `unit`, for each unit separately."""
    trained = recurrent_parameters(cell)
    rest = jax.tree.map(
        lambda leaf, carried: None if carried is not None else leaf,
        cell,
        trained,
        is_leaf=lambda leaf: leaf is None,
    )

    def unit(trained: PyTree, own: Array, rest: PyTree) -> tuple[Array, Array]:
        new = eqx.combine(trained, rest).unit(own, h, x)
        return new, new

    differentiate = jax.jacrev(unit, argnums=(0, 1), has_aux=True)
    for_each_unit = eqx.filter_vmap(differentiate, in_axes=UNITS, out_axes=-1)
    (immediate, leak), new = for_each_unit(trained, h, rest)
    return UnitJacobians(new, leak, immediate)


def communication_jacobian(cell: Cell, h: State, x: Input) -> Float[Array, "k hidden k hidden"]:
    """∂h'ᵢ/∂hⱼ through the communicated state alone, without the leak."""
    differentiate = jax.jacrev(lambda unit, own, h: unit.unit(own, h, x), argnums=2)
    return eqx.filter_vmap(differentiate, in_axes=(UNITS, -1, None), out_axes=1)(cell, h, h)
