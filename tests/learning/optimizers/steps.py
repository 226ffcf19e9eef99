"""Small parameters, and random TD updates of a few steps."""

import functools
import itertools
from collections.abc import Iterator

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from rtrrl.cells import CTRNN
from rtrrl.learning.optimizers import Optimizer, ParameterGroups, TDUpdate
from rtrrl.learning.readouts import RandomFeedback
from rtrrl.types import PyTree, parameters
from tests.members import quick_jit

KINDS = ("actor", "critic", "cell")
DECAY = ParameterGroups(0.5, 0.7, 0.9)


def init_params() -> ParameterGroups:
    """An actor of two outputs, a critic and three units."""
    readout = lambda outputs, seed: RandomFeedback().readout(3, outputs, 1.0, jax.random.key(seed))  # noqa: E731
    cell = CTRNN(2, 3, key=jax.random.key(0))
    return ParameterGroups(readout(2, 1), readout(1, 2), cell)


def td_updates(
    params: ParameterGroups, count: int = 5, sizes: tuple[float, ...] = (1.0,)
) -> Iterator[TDUpdate]:
    """Random ones; the sizes of the traces are `sizes`, cyclically."""
    rng = np.random.default_rng(0)
    random = lambda leaf: jnp.asarray(rng.normal(size=leaf.shape))  # noqa: E731
    for index in range(count):
        traces, bonus, gradient = (jax.tree.map(random, parameters(params)) for _ in range(3))
        size = sizes[index % len(sizes)]
        delta = jnp.asarray(rng.normal(size=()))
        traces = jax.tree.map(lambda e, size=size: size * e, traces)
        yield TDUpdate(delta, traces, gradient, bonus, DECAY)


def apply_steps(optimizer: Optimizer, params: ParameterGroups, given: list[TDUpdate]) -> PyTree:
    """The parameters after these steps."""
    return history(optimizer, params, given)[-1]


def apply_step(
    optimizer: Optimizer, td_update: TDUpdate, state: PyTree, params: ParameterGroups
) -> tuple[ParameterGroups, PyTree]:
    """The parameters and the state after one step."""
    updates, state = optimizer.update(td_update, state, params)
    return eqx.apply_updates(params, updates), state


def history(optimizer: Optimizer, params: ParameterGroups, given: list[TDUpdate]) -> list[PyTree]:
    """The parameters before the first step and after each step."""
    step = quick_jit(functools.partial(apply_step, optimizer))
    state, found = optimizer.init(params), [parameters(params)]
    for td_update in given:
        params, state = step(td_update, state, params)
        found.append(parameters(params))
    return found


def flat(tree: PyTree) -> np.ndarray:
    """All entries in a row."""
    return np.concatenate([np.ravel(leaf) for leaf in jax.tree.leaves(tree)])


def changes(found: list[PyTree]) -> dict[str, list[np.ndarray]]:
    """The change of each group in each step of a history."""
    return {
        kind: [
            flat(getattr(after, kind)) - flat(getattr(before, kind))
            for before, after in itertools.pairwise(found)
        ]
        for kind in KINDS
    }
