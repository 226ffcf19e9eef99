"""Small parameter groups, and what a few steps say to them at random."""

import itertools
from collections.abc import Iterator

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


def newborn() -> ParameterGroups:
    """An actor of two outputs, a critic and three units."""
    readout = lambda outputs, seed: RandomFeedback().readout(3, outputs, 1.0, jax.random.key(seed))  # noqa: E731
    cell = CTRNN(2, 3, key=jax.random.key(0))
    return ParameterGroups(readout(2, 1), readout(1, 2), cell)


def credits(
    groups: ParameterGroups, count: int = 5, sizes: tuple[float, ...] = (1.0,)
) -> Iterator[TDUpdate]:
    """Random ones; the i-th traces are of the i-th size, round and round."""
    rng = np.random.default_rng(0)
    random = lambda leaf: jnp.asarray(rng.normal(size=leaf.shape))  # noqa: E731
    for index in range(count):
        traces, bonus, gradient = (jax.tree.map(random, parameters(groups)) for _ in range(3))
        size = sizes[index % len(sizes)]
        delta = jnp.asarray(rng.normal(size=()))
        yield TDUpdate(delta, jax.tree.map(lambda e, s=size: s * e, traces), gradient, bonus, DECAY)


def live(update: Optimizer, groups: ParameterGroups, given: list[TDUpdate]) -> PyTree:
    """The parameters after these steps."""
    return history(update, groups, given)[-1]


def history(update: Optimizer, groups: ParameterGroups, given: list[TDUpdate]) -> list[PyTree]:
    """The parameters before and after each step."""
    state, step, seen = update.init(groups), quick_jit(update.__call__), [parameters(groups)]
    for credit in given:
        groups, state = step(state, groups, credit)
        seen.append(parameters(groups))
    return seen


def flat(tree: PyTree) -> np.ndarray:
    """All entries in a row."""
    return np.concatenate([np.ravel(leaf) for leaf in jax.tree.leaves(tree)])


def changes(seen: list[PyTree]) -> dict[str, list[np.ndarray]]:
    """What each step of a history added to each group."""
    return {
        kind: [
            flat(getattr(after, kind)) - flat(getattr(before, kind))
            for before, after in itertools.pairwise(seen)
        ]
        for kind in KINDS
    }
