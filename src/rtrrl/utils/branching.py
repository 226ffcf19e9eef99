"""A branch that stays one when many seeds are mapped over."""

from collections.abc import Callable
from typing import TypeVar

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool

State = TypeVar("State")


def cond_any(predicate: Bool[Array, ""], do: Callable[[State], State], state: State) -> State:
    """`do(state)` where the predicate holds, else `state`.

    Mapped over, `lax.cond` computes both sides of every seed at every step. This one is a single
    branch for all of them: as long as no seed's predicate holds, nothing of `do` is computed.
    `state` is arrays alone, and holds all that `do` needs of what is mapped over.

    >>> import jax.numpy as jnp
    >>> jax.vmap(lambda x: rarely(x > 1, lambda x: -x, x))(jnp.arange(4))
    Array([ 0,  1, -2, -3], dtype=int32)
    """

    @jax.custom_batching.custom_vmap
    def branch(predicate, state):
        return jax.lax.cond(predicate, do, lambda state: state, state)

    @branch.def_vmap
    def _(size, mapped, predicate, state):
        spread = lambda leaf, has: leaf if has else jnp.broadcast_to(leaf, (size, *leaf.shape))  # noqa: E731
        predicate, state = jax.tree.map(spread, (predicate, state), tuple(mapped))

        def each(both):
            predicate, state = both
            select = lambda new, old: jax.vmap(jnp.where)(predicate, new, old)  # noqa: E731
            return predicate, jax.tree.map(select, jax.vmap(do)(state), state)

        # by itself again: what is mapped over may be mapped over once more
        _, outcome = cond_any(predicate.any(), each, (predicate, state))
        return outcome, jax.tree.map(lambda _: True, outcome)

    return branch(predicate, state)
