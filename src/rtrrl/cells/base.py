"""The base classes of cells, recurrences h' = f(h, x), and of their settings."""

import abc
import dataclasses
from collections.abc import Callable
from typing import ClassVar, Self

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from rtrrl.types import Key, PyTree, parameters
from rtrrl.utils import validation

State = Float[Array, "k hidden"]
Unit = Float[Array, "k"]
Input = Float[Array, "inputs"]

UNITS = eqx.if_array(-1)
"""The axis along which the arrays of a cell are mapped over its units."""


class Cell(eqx.Module):
    """A recurrence h' = f(h, x) of units, where the parameters of a unit act on that unit alone.

    A cell is written as the update of *one* unit. Every array of a cell has `hidden` as its
    last axis, and entry i along it belongs to unit i. Local gradient rules rely on this: they
    carry one number per weight. It is the last axis so that XLA vectorises over units, whatever the
    number of inputs (docs/decisions/0012).

    The state is `[k, hidden]`: k real components per unit.
    """

    input_size: eqx.AbstractVar[int]
    hidden_size: eqx.AbstractVar[int]

    components: ClassVar[int] = 1
    """k, the number of real components of one unit's state."""

    feedforward: ClassVar[tuple[str, ...]] = ()
    """Parameters used in `features` alone: their gradient is immediate, no rule carries it."""

    @abc.abstractmethod
    def unit(self, own: Unit, h: State, x: Input) -> Unit:
        """One Euler micro-step of one unit; `self` holds that unit's part of every array.

        `own` is the unit's state as it leaks into itself, `h` the state as all units
        communicate it. RFLO differentiates by `own` alone, SnAp-1 by both.
        """

    @property
    def micro_steps(self) -> int:
        """The number of micro-steps in one step."""
        return 1

    @property
    def diagonal(self) -> bool:
        """Whether no unit reads another one's state, so that diagonal RTRL is exact."""
        return False

    def micro_step(self, h: State, x: Input) -> State:
        """One micro-step of all units."""
        each = lambda unit, own: unit.unit(own, h, x)  # noqa: E731
        return eqx.filter_vmap(each, in_axes=UNITS, out_axes=-1)(self, h)

    def __call__(self, h: State, x: Input) -> State:
        """h' = f(h, x)."""
        return jax.lax.fori_loop(0, self.micro_steps, lambda _, h: self.micro_step(h, x), h)

    def initial_state(self) -> State:
        """The state at the start of an episode: zeros."""
        return jnp.zeros((self.components, self.hidden_size))

    @property
    def feature_size(self) -> int:
        """The length of `features(h)`."""
        return self.hidden_size * self.components

    def features(self, h: State, x: Input | None = None) -> Float[Array, "features"]:
        """The input of the readouts: a function of the state and, in a cell with a skip, of x."""
        return h.ravel()

    def project(self) -> Self:
        """The nearest cell with admissible parameters; applied after every update."""
        return self


class LeakyCell(Cell):
    """A cell whose ∂h'ᵢ/∂ownᵢ, the leak, does not depend on h or x.

    RFLO keeps exactly this leak of the state's Jacobian.
    """


class CellConfig(validation.Settings):
    """The settings of a cell; calling it with the size of the input makes the cell."""

    cell: ClassVar[Callable[..., Cell]]
    _: dataclasses.KW_ONLY
    hidden_size: int = 32
    """The number of units."""

    def __check_init__(self) -> None:
        validation.counts(hidden_size=self.hidden_size)

    def __call__(self, input_size: int, key: Key) -> Cell:
        """The cell with initial parameters."""
        settings = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        return type(self).cell(input_size, key=key, **settings)


def recurrent_parameters(cell: Cell) -> PyTree:
    """The parameters that the gradient rules carry: all but the feed-forward ones."""
    chosen = parameters(cell)
    for name in cell.feedforward:
        chosen = eqx.tree_at(lambda c, name=name: getattr(c, name), chosen, replace=None)
    return chosen


def lecun_normal(key: Key, shape: tuple[int, ...], fan_in: int) -> Float[Array, "..."]:
    """Normal numbers of variance 1 / fan_in, drawn unit by unit: the last axis is `hidden`."""
    numbers = jax.random.normal(key, (shape[-1], *shape[:-1])) / max(1, fan_in) ** 0.5
    return jnp.moveaxis(numbers, 0, -1)
