"""Optimizers: from TD errors and traces to updates of the parameters."""

import abc
from collections.abc import Callable

import equinox as eqx
import jax
import jax.numpy as jnp

from rtrrl.errors import RtrrlError
from rtrrl.types import PyTree, Scalar, parameters
from rtrrl.utils.validation import Settings


class ParameterGroups(eqx.Module):
    """One value for each parameter group of an actor-critic with a recurrent cell."""

    actor: PyTree
    critic: PyTree
    cell: PyTree


def by_group(function: Callable[..., PyTree], *params: ParameterGroups) -> ParameterGroups:
    """`function` of the actor's entries, of the critic's, and of the cell's."""
    return ParameterGroups(
        function(*(each.actor for each in params)),
        function(*(each.critic for each in params)),
        function(*(each.cell for each in params)),
    )


class TDUpdate(eqx.Module):
    """What an optimizer makes an update of: the TD error, the traces and the gradients of a step.

    Each `ParameterGroups` but `decay` has the structure of the trainable parameters.
    """

    delta: Scalar
    """δ."""
    traces: ParameterGroups
    """e, including this step's gradient."""
    gradient: ParameterGroups
    """∇, the latest gradient in e."""
    entropy_bonus: ParameterGroups
    """η_H ∇H: ascended independently of δ."""
    decay: ParameterGroups
    """γλ, one number for each group."""

    def ascent(self) -> ParameterGroups:
        """δ e + η_H ∇H."""
        return jax.tree.map(lambda e, b: self.delta * e + b, self.traces, self.entropy_bonus)


class Optimizer(Settings):
    """Maps a `TDUpdate` to additive updates of the parameters, with optax's signatures."""

    @abc.abstractmethod
    def init(self, params: ParameterGroups) -> PyTree:
        """The optimizer's state for these parameters."""

    @abc.abstractmethod
    def update(
        self, td_update: TDUpdate, state: PyTree, params: ParameterGroups
    ) -> tuple[ParameterGroups, PyTree]:
        """The updates, which are to be added to the parameters, and the next state."""

    def direction(self, td_update: TDUpdate) -> ParameterGroups:
        """The ascent direction before any clipping or rescaling."""
        return td_update.ascent()

    def over_envs(self) -> "Optimizer":
        """This optimizer for several environments that share the parameters.

        **Raises** `RtrrlError` where its steps depend on the traces of a single environment.
        """
        raise RtrrlError(
            f"{type(self).__name__} learns from one environment at a time: num_envs must be 1, or "
            "the optimizer Adam"
        )


def zeros_like(params: ParameterGroups) -> ParameterGroups:
    """Zeros for every trainable parameter."""
    return jax.tree.map(jnp.zeros_like, parameters(params))


def total(tree: PyTree) -> Scalar | float:
    """The sum of all entries; 0 where there are none."""
    # by a product with ones: XLA's CPU backend compiles plain sums into slow windows
    sums = (jnp.sum(leaf @ jnp.ones(leaf.shape[-1], leaf.dtype)) for leaf in jax.tree.leaves(tree))
    return sum(sums, 0.0)
