"""Many small arrays as a few long ones: calling a compiled program costs by the array."""

import itertools
import math
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Shaped

from rtrrl.types import PyTree
from rtrrl.utils.prng import key_implementation


class Packing:
    """How the leaves of one structure lie in one vector for each kind of number.

    >>> import jax.numpy as jnp
    >>> tree = {"a": jnp.ones((2, 2)), "b": jnp.array(3), "c": jnp.zeros(1)}
    >>> packing = Packing(tree)
    >>> [vector.shape for vector in packing.pack(tree)]
    [(5,), (1,)]
    """

    def __init__(self, template: PyTree):
        leaves, self._structure = jax.tree.flatten(template)
        self._plain = [jax.eval_shape(_plain, leaf) for leaf in leaves]
        self._keys = [key_implementation(leaf) if _is_key(leaf) else None for leaf in leaves]
        kinds = [leaf.dtype for leaf in self._plain]
        self._members = {kind: [i for i, k in enumerate(kinds) if k == kind] for kind in kinds}

    def pack(self, tree: PyTree) -> list[Shaped[Array, " _"]]:
        """One vector for each kind of number."""
        leaves = [_plain(leaf) for leaf in jax.tree.leaves(tree)]
        return [
            jnp.concatenate([leaves[i].ravel() for i in members])
            for members in self._members.values()
        ]

    def unpack(self, vectors: list[Shaped[Array, " _"]]) -> PyTree:
        """The tree again."""
        leaves: dict[int, Array] = {}
        for vector, members in zip(vectors, self._members.values(), strict=True):
            sizes = [math.prod(self._plain[i].shape) for i in members]
            ends = list(itertools.accumulate(sizes))
            for i, size, end in zip(members, sizes, ends, strict=True):
                leaf = vector[end - size : end].reshape(self._plain[i].shape)
                kind = self._keys[i]
                leaves[i] = leaf if kind is None else jax.random.wrap_key_data(leaf, impl=kind)
        return jax.tree.unflatten(self._structure, [leaves[i] for i in range(len(leaves))])


def _plain(leaf: Any) -> Array:
    """Keys as their numbers."""
    return jax.random.key_data(leaf) if _is_key(leaf) else leaf


def _is_key(leaf: Any) -> bool:
    return jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key)
