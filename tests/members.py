"""The cells and rules that the contracts and theorems run on: all that are registered."""

import dataclasses
import functools
from collections.abc import Callable

import equinox as eqx
import jax
import jax.numpy as jnp
import pytest

from rtrrl.cells import CELLS, NCP, Cell, CTRNNConfig, Diagonal, FullyConnected, SparseRandom
from rtrrl.errors import UnsupportedCellError
from rtrrl.gradients import RULES, GradientRule
from rtrrl.gradients.certificates import RUN_ONCE
from rtrrl.types import PyTree

INPUTS, HIDDEN = 2, 4
QUICK = RUN_ONCE | {"xla_cpu_use_fusion_emitters": False}
"""Compiler options with which a program compiles in a fifth of the time."""
WIRINGS = {
    "full": FullyConnected(),
    "sparse": SparseRandom(0.4),
    "diagonal": Diagonal(),
    "ncp": NCP(0.8),
}
MEMBERS = {
    name: dataclasses.replace(config, hidden_size=HIDDEN) for name, config in CELLS.items()
} | {
    f"ctrnn-{name}-dt{dt}": CTRNNConfig(hidden_size=HIDDEN, dt=dt, wiring=wiring)
    for name, wiring in WIRINGS.items()
    for dt in (1.0, 0.25)
    if (name, dt) != ("full", 1.0)  # the same as "ctrnn"
}


def cell(name: str, seed: int = 0) -> Cell:
    """A small cell in the present precision."""
    return _builder(name)(jax.random.key(seed))


def quick_jit(function: Callable) -> Callable:
    """`jax.jit` for a function that runs a few times: it compiles in a fraction of the time."""
    return jax.jit(function, compiler_options=QUICK)


@functools.cache
def _builder(name: str) -> Callable[[jax.Array], Cell]:
    return quick_jit(functools.partial(MEMBERS[name], INPUTS))


def rule_for(name: str, cell: Cell) -> GradientRule:
    """The rule of that name; skips the test where the rule does not fit the cell."""
    rule = RULES[name]
    try:
        rule.init(cell)
    except UnsupportedCellError as refusal:
        pytest.skip(str(refusal))
    return rule


def assert_same(got: PyTree, expected: PyTree, tolerance: float = 1e-10) -> None:
    """Same structure, and |got − expected| ≤ tolerance · |expected| leaf by leaf."""
    assert jax.tree.structure(got) == jax.tree.structure(expected)
    pairs = zip(jax.tree_util.tree_leaves_with_path(got), jax.tree.leaves(expected), strict=True)
    for (path, a), b in pairs:
        assert a.shape == b.shape
        error = jnp.linalg.norm((a - b).ravel())
        assert error <= tolerance * jnp.linalg.norm(b.ravel()), jax.tree_util.keystr(path)


each_cell = pytest.mark.parametrize("cell_name", MEMBERS)
each_rule = pytest.mark.parametrize("rule_name", RULES)
diagonal_cells = [
    name
    for name, config in MEMBERS.items()
    if eqx.filter_eval_shape(config, INPUTS, jax.random.key(0)).diagonal
]
