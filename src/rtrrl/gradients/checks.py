"""Checks of a cell when an agent is constructed: what it says of itself, and that the rule fits."""

import dataclasses
import functools
from collections.abc import Callable, Sequence
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jaxtyping import Array

from rtrrl.cells import Cell, CellConfig, LeakyCell, recurrent_parameters
from rtrrl.cells.base import UNITS
from rtrrl.errors import RtrrlError, UnsupportedCellError, described
from rtrrl.gradients.base import GradientRule, unit_jacobians
from rtrrl.gradients.certificates import RUN_ONCE
from rtrrl.types import PyTree, parameters
from rtrrl.utils.arrays import in_words
from rtrrl.utils.modules import is_own

HIDDEN = 6
"""The number of units of a cell that is measured, unless its settings do not allow that few."""
TOLERANCE = 1e-4
"""What counts as zero in float32, relative to the largest number."""


def check_cell(config: CellConfig, input_size: int, rule: GradientRule | None) -> None:
    """Check that a rule, if any, fits a cell, and that a user's cell is what it says.

    The cell is built at a random point and differentiated there: its `diagonal`, `feedforward` and
    being a `LeakyCell` are facts that the rules rely on. Cells of rtrrl have tests instead.

    **Raises** `UnsupportedCellError` where the rule does not fit, or what the cell says of itself
    is not true; `RtrrlError` where a user's cell cannot be built or has arrays of other shapes than
    `Cell` says.
    """
    leaves, structure = jax.tree.flatten((config, rule))
    if not any(isinstance(leaf, Tracer) for leaf in leaves):
        # a setting may be an array with one entry per seed
        numbers = [np.asarray(x).flat[0].item() if eqx.is_array(x) else x for x in leaves]
        _check(*jax.tree.unflatten(structure, numbers), input_size)


@functools.lru_cache(maxsize=256)
def _check(config: CellConfig, rule: GradientRule | None, input_size: int) -> None:
    key = jax.eval_shape(jax.random.key, 0)
    own = is_own(config) and type(config).cell.__module__.partition(".")[0] == "rtrrl"
    if not own:
        _check_claims(config, input_size, by_rule=rule is not None)
    if rule is not None:
        eqx.filter_eval_shape(lambda key: rule.init(config(input_size, key), key), key)


def _check_claims(config: CellConfig, input_size: int, by_rule: bool) -> None:
    """**Raises** where the cell of a user is not what it says.

    Without a rule its gradient is that of backpropagation, and its shapes alone matter.
    """
    name = type(config).__name__
    key = jax.eval_shape(jax.random.key, 0)
    try:
        small = dataclasses.replace(config, hidden_size=min(config.hidden_size, HIDDEN))
    except Exception:  # its other settings need more units
        small = config
    try:
        cell = jax.tree.map(_zeros, eqx.filter_eval_shape(small, input_size, key))
        _check_shapes(name, cell)
        if not by_rule or _is_proven(cell):
            return
        measure = functools.partial(_measure, small, input_size)
        found = jax.jit(measure, compiler_options=RUN_ONCE)()
    except RtrrlError:
        raise
    except Exception as error:
        raise RtrrlError(f"the cell of {name} fails: {described(error)}") from error
    for claim, size in found.items():
        if size > TOLERANCE:
            raise UnsupportedCellError(claim)


def _check_shapes(config: str, cell: Any) -> None:
    if not isinstance(cell, Cell):
        raise RtrrlError(f"{config} makes {in_words(cell)}: expected a Cell")
    name, units, shape = type(cell).__name__, cell.hidden_size, (cell.components, cell.hidden_size)
    for path, leaf in jax.tree_util.tree_leaves_with_path(eqx.filter(cell, eqx.is_array)):
        if leaf.shape[-1:] != (units,):
            raise RtrrlError(
                f"{name}{jax.tree_util.keystr(path)} has the shape {leaf.shape}: the last axis of "
                f"every array of a cell is hidden_size, here {units}"
            )
    for field in cell.feedforward:
        if not hasattr(cell, field):
            raise RtrrlError(f"{name}.feedforward lists '{field}', which {name} does not have")
    x = jax.ShapeDtypeStruct((cell.input_size,), jnp.float32)
    h = jax.ShapeDtypeStruct(shape, jnp.float32)
    for what, expected, function, *arguments in (
        ("initial state", shape, lambda cell: cell.initial_state()),
        ("next state", shape, lambda cell, h, x: cell.micro_step(h, x), h, x),
        ("feature vector", (cell.feature_size,), lambda cell, h, x: cell.features(h, x), h, x),
    ):
        result = eqx.filter_eval_shape(function, cell, *arguments)
        if getattr(result, "shape", None) != expected:
            raise RtrrlError(
                f"the {what} of {name} is {in_words(result)}: expected an array of shape {expected}"
            )


def _is_proven(cell: Cell) -> bool:
    """Whether the equations alone, without numbers, show that all claims of the cell are true."""
    kind, arrays = type(cell), eqx.filter(cell, eqx.is_array)
    h = jax.ShapeDtypeStruct((cell.components, cell.hidden_size), jnp.float32)
    x = jax.ShapeDtypeStruct((cell.input_size,), jnp.float32)
    whole = lambda arrays: eqx.combine(arrays, cell)  # noqa: E731
    carried = recurrent_parameters(cell)

    def step(h: Array, own: Array, x: Array, arrays: PyTree) -> Array:
        each = lambda unit, own: unit.unit(own, h, x)  # noqa: E731
        return eqx.filter_vmap(each, in_axes=UNITS, out_axes=-1)(whole(arrays), own)

    def leak(hx: tuple[Array, Array], arrays: PyTree) -> Array:
        return unit_jacobians(whole(arrays), *hx).leak

    def features(carried: PyTree, h: Array, x: Array, arrays: PyTree) -> Array:
        return whole(eqx.combine(carried, arrays)).features(h, x)

    def step_of(fields: dict[str, Array], h: Array, x: Array, arrays: PyTree) -> Array:
        of = lambda cell: [getattr(cell, name) for name in fields]  # noqa: E731
        return step(h, h, x, eqx.tree_at(of, arrays, list(fields.values())))

    return (
        (kind.micro_step, kind.__call__) == (Cell.micro_step, Cell.__call__)
        and not (cell.diagonal and _depends(step, h, h, x, arrays))
        and not (isinstance(cell, LeakyCell) and _depends(leak, (h, x), arrays))
        and not _depends(
            step_of, {name: getattr(cell, name) for name in cell.feedforward}, h, x, arrays
        )
        and not _depends(features, carried, h, x, arrays)
    )


def _depends(function: Callable[..., Array], of: PyTree, *rest: PyTree) -> bool:
    """Whether there is a path in a function's equations from its first argument to its result."""
    jaxpr = jax.make_jaxpr(function)(of, *rest).jaxpr
    reached = {*map(id, jaxpr.invars[: len(jax.tree.leaves(of))])}
    for equation in jaxpr.eqns:
        if _any_in(reached, equation.invars):
            reached |= {*map(id, equation.outvars)}
    return _any_in(reached, jaxpr.outvars)


def _any_in(ids: set[int], variables: Sequence[Any]) -> bool:
    return any(id(variable) in ids for variable in variables)


def _measure(config: CellConfig, input_size: int) -> dict[str, Array]:
    """What to say where a claim of the cell is false, and a number that is 0 if it is true.

    The numbers are measured at random parameters, states and inputs.
    """
    cell_key, h_key, x_key = jax.random.split(jax.random.key(0), 3)
    cell = config(input_size, cell_key)
    name, found = type(cell).__name__, {}
    h, other_h = jax.random.uniform(h_key, (2, cell.components, cell.hidden_size), minval=-1.0)
    x, other_x = jax.random.uniform(x_key, (2, input_size), minval=-1.0)

    by_unit = _relative(cell.micro_step(h, x), Cell.micro_step(cell, h, x))
    by_micro_step = _relative(cell(h, x), Cell.__call__(cell, h, x))
    found[
        f"{name} has a micro_step or __call__ that differs from its unit, which the gradient "
        "rules differentiate: define unit alone"
    ] = jnp.maximum(by_unit, by_micro_step)
    if cell.diagonal:
        jacobian = jax.jacfwd(lambda h: cell.micro_step(h, x))(h)
        within = jnp.eye(cell.hidden_size)[:, None] * jacobian
        found[
            f"{name}.diagonal is True, but its units read each other: return False, and use "
            "SnAp1 (approximate) or RTRL (exact)"
        ] = _relative(jacobian, within)
    if isinstance(cell, LeakyCell):
        leaks = [unit_jacobians(cell, *at).leak for at in ((h, x), (other_h, other_x))]
        found[
            f"{name} is a LeakyCell, but its leak depends on h or x: derive it from Cell, and use "
            "SnAp1 or RTRL"
        ] = _relative(*leaks)
    learned, carried = parameters(cell), recurrent_parameters(cell)
    of_step = _gradient(lambda learned: eqx.combine(learned, cell).micro_step(h, x), learned)
    for field in cell.feedforward:
        says = f"{name}.feedforward lists '{field}', but its unit depends on it: take it out"
        found[says] = _largest(getattr(of_step, field))
    of_features = _gradient(lambda carried: eqx.combine(carried, cell).features(h, x), carried)
    found[
        f"the features of {name} depend on parameters that its unit has: add those to feedforward "
        "that are in the features alone"
    ] = _largest(of_features)
    return found


def _gradient(function: Callable[[PyTree], Array], at: PyTree) -> PyTree:
    return jax.grad(lambda tree: jnp.sum(function(tree) ** 2))(at)


def _relative(value: Array, expected: Array) -> Array:
    return jnp.max(jnp.abs(value - expected)) / jnp.maximum(jnp.max(jnp.abs(expected)), 1e-6)


def _largest(tree: PyTree) -> Array:
    leaves = jax.tree.leaves(tree)
    return jnp.stack([jnp.max(jnp.abs(leaf)) for leaf in leaves]).max() if leaves else jnp.zeros(())


def _zeros(leaf: Any) -> Any:
    """Zeros for a shape; through NumPy, so that nothing has to be compiled."""
    is_shape = isinstance(leaf, jax.ShapeDtypeStruct)
    return jnp.array(np.zeros(leaf.shape, leaf.dtype)) if is_shape else leaf
