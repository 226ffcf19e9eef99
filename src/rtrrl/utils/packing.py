"""Many small arrays as a few long ones: calling a compiled program costs time per array."""

import itertools
import math
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Shaped

from rtrrl.types import PyTree
from rtrrl.utils.prng import key_implementation


class Packing:
    """Packs the leaves of one pytree structure into one vector per dtype.

    `template` gives structure, shapes and dtypes, as arrays or as `jax.ShapeDtypeStruct`s.

    >>> import jax.numpy as jnp
    >>> tree = {"a": jnp.ones((2, 2)), "b": jnp.array(3), "c": jnp.zeros(1)}
    >>> packing = Packing(tree)
    >>> [vector.shape for vector in packing.pack(tree)]
    [(5,), (1,)]
    """

    def __init__(self, template: PyTree):
        leaves, self._structure = jax.tree.flatten(template)
        self._shapes = [jax.eval_shape(_without_key_type, leaf) for leaf in leaves]
        self._keys = [key_implementation(leaf) if _is_key(leaf) else None for leaf in leaves]
        self._members: dict[Any, list[int]] = {}
        for i, leaf in enumerate(self._shapes):
            self._members.setdefault(leaf.dtype, []).append(i)

    def pack(self, tree: PyTree) -> list[Shaped[Array, " _"]]:
        """One vector per dtype."""
        leaves = [_without_key_type(leaf) for leaf in jax.tree.leaves(tree)]
        return [
            jnp.concatenate([leaves[i].ravel() for i in members])
            for members in self._members.values()
        ]

    def unpack(self, vectors: list[Shaped[Array, " _"]]) -> PyTree:
        """The inverse of `pack`."""
        leaves: list[Any] = [None] * len(self._shapes)
        for vector, members in zip(vectors, self._members.values(), strict=True):
            ends = itertools.accumulate(math.prod(self._shapes[i].shape) for i in members)
            for i, part in zip(members, jnp.split(vector, list(ends)[:-1]), strict=True):
                leaf = part.reshape(self._shapes[i].shape)
                key = self._keys[i]
                leaves[i] = leaf if key is None else jax.random.wrap_key_data(leaf, impl=key)
        return jax.tree.unflatten(self._structure, leaves)


def _without_key_type(leaf: Any) -> Array:
    return jax.random.key_data(leaf) if _is_key(leaf) else leaf


def _is_key(leaf: Any) -> bool:
    return jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key)
