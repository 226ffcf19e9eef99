"""Types that all modules share."""

from typing import Any

import equinox as eqx
import jax
from jaxtyping import Array, Bool, Float, PRNGKeyArray, Shaped

Key = PRNGKeyArray
PyTree = Any
Scalar = Float[Array, ""]


class TimeStep(eqx.Module):
    """What the environment returns for one action.

    `discount` is 0 at a terminal state and 1 otherwise; `last` is true at the end of an episode,
    by termination or by truncation. At a truncation `discount` is 1: the value of the final
    observation is bootstrapped before the next episode begins.
    """

    observation: Shaped[Array, "..."]
    reward: Scalar
    discount: Scalar
    last: Bool[Array, ""]


class Fixed(eqx.Module):
    """An array of a model that is not trained, such as a random feedback matrix.

    `parameters` leaves it out, so that it has no trace and gets no update.
    """

    value: Array


def parameters(model: PyTree) -> PyTree:
    """The trainable leaves of `model`: its floating-point arrays outside `Fixed`; else None."""
    return jax.tree.map(
        lambda node: node if eqx.is_inexact_array(node) else None,
        model,
        is_leaf=lambda node: isinstance(node, Fixed),
    )
