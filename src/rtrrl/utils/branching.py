"""Branches that remain branches under `vmap`."""

from collections.abc import Callable
from typing import TypeVar

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool

State = TypeVar("State")


def cond_any(predicate: Bool[Array, ""], update: Callable[[State], State], state: State) -> State:
    """`update(state)` where the predicate holds, else `state`.

    Under `vmap`, `lax.cond` computes both sides for every element. This computes `update` only
    when the predicate holds for at least one of them.

    >>> import jax.numpy as jnp
    >>> jax.vmap(lambda x: cond_any(x > 1, lambda x: -x, x))(jnp.arange(4))
    Array([ 0,  1, -2, -3], dtype=int32)
    """

    def select(state: State) -> State:
        return jax.tree.map(lambda new, old: jnp.where(predicate, new, old), update(state), state)

    return jax.lax.cond(_any(predicate), select, lambda state: state, state)


@jax.custom_batching.custom_vmap
def _any(predicate: Bool[Array, ""]) -> Bool[Array, ""]:
    """Whether the predicate holds for any element of all surrounding `vmap`s."""
    return predicate


_any.def_vmap(lambda _size, _mapped, predicate: (_any(predicate.any()), False))
