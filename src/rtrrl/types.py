"""The few types that everything shares."""

from typing import Any

import equinox as eqx
import jax
from jaxtyping import Array, Bool, Float, PRNGKeyArray, Shaped

Key = PRNGKeyArray
PyTree = Any
Scalar = Float[Array, ""]


class TimeStep(eqx.Module):
    """What the world answers to one action.

    `discount` is 0 at a true terminal and 1 otherwise; `last` says that the episode is over,
    whether by termination or by truncation. At a truncation `last` is true and `discount` is 1:
    the value of the final observation is bootstrapped before the next episode begins.
    """

    observation: Shaped[Array, "..."]
    reward: Scalar
    discount: Scalar
    last: Bool[Array, ""]


class Fixed(eqx.Module):
    """An array that is part of a model and never learns (a random feedback matrix).

    `parameters` leaves it out, so no trace, optimizer or update ever sees it.
    """

    value: Array


def parameters(model: PyTree) -> PyTree:
    """The trainable leaves of `model`: its floating-point arrays outside `Fixed`; else None."""
    return jax.tree.map(
        lambda node: node if eqx.is_inexact_array(node) else None,
        model,
        is_leaf=lambda node: isinstance(node, Fixed),
    )
