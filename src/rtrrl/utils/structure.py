"""What a compiled program depends on in a pytree, as a key of caches of programs."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array

from rtrrl.types import PyTree


class Structure:
    """A pytree without the values of its arrays: trees of equal structure share their programs.

    Two are equal if the trees differ only in the numbers of their arrays.

    >>> Structure({"a": jnp.ones(2), "b": 3}) == Structure({"a": jnp.zeros(2), "b": 3})
    True
    >>> Structure({"a": jnp.ones(2), "b": 3}) == Structure({"a": jnp.ones(2), "b": 3.0})
    False
    """

    def __init__(self, tree: PyTree):
        arrays, self._rest = eqx.partition(tree, eqx.is_array)
        leaves, self._structure = jax.tree.flatten(arrays)
        self._shapes = tuple((leaf.shape, leaf.dtype) for leaf in leaves)
        rest, rest_structure = jax.tree.flatten(self._rest)
        key: Any = (
            self._structure,
            rest_structure,
            self._shapes,
            tuple((type(leaf), leaf) for leaf in rest),
        )
        try:
            self._hash = hash(key)
        except TypeError:  # a setting that cannot be a key: the tree shares no program
            key, self._hash = self, id(self)
        self._key = key

    def __hash__(self) -> int:
        return self._hash

    def __eq__(self, other: Any) -> bool:
        if not isinstance(other, Structure) or self._key is self or other._key is other:
            return self is other
        try:
            return bool(self._key == other._key)
        except ValueError:  # of arrays in static fields
            return False

    def arrays(self, tree: PyTree) -> list[Array]:
        """The arrays of a tree: a list is the fastest argument of a compiled function."""
        return jax.tree.leaves(eqx.filter(tree, eqx.is_array))

    def zeros(self) -> list[Array]:
        """Arrays of these shapes, inside a function whose shapes are evaluated."""
        return [jnp.zeros(*shape) for shape in self._shapes]

    def tree(self, arrays: list[Array]) -> Any:
        """The tree with these arrays."""
        return eqx.combine(jax.tree.unflatten(self._structure, arrays), self._rest)
