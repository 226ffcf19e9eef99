"""Many small arrays as a few long ones: calling a compiled program costs time per array."""

import itertools
import math
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Shaped

from rtrrl.types import PyTree
from rtrrl.utils.prng import with_key_type, without_key_type


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
        self._template, self._structure = jax.tree.flatten(template)
        self._shapes = [without_key_type(leaf) for leaf in self._template]
        self._members: dict[Any, list[int]] = {}
        for i, leaf in enumerate(self._shapes):
            self._members.setdefault(leaf.dtype, []).append(i)

    def pack(self, tree: PyTree) -> list[Shaped[Array, " _"]]:
        """One vector per dtype."""
        leaves = [without_key_type(leaf) for leaf in jax.tree.leaves(tree)]
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
                leaves[i] = with_key_type(part.reshape(self._shapes[i].shape), self._template[i])
        return jax.tree.unflatten(self._structure, leaves)
