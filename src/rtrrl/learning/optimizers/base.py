"""What a step has to say to the parameters, and what every update is."""

import abc
from collections.abc import Callable

import equinox as eqx
import jax
import jax.numpy as jnp

from rtrrl.errors import RtrrlError
from rtrrl.types import PyTree, Scalar, parameters


class ParameterGroups(eqx.Module):
    """One thing for each parameter group of an actor-critic on a recurrent state."""

    actor: PyTree
    critic: PyTree
    cell: PyTree


def by_group(function: Callable[..., PyTree], *params: ParameterGroups) -> ParameterGroups:
    """`function` of what stands for the actor, then for the critic, then for the cell."""
    return ParameterGroups(
        function(*(each.actor for each in params)),
        function(*(each.critic for each in params)),
        function(*(each.cell for each in params)),
    )


class TDUpdate(eqx.Module):
    """What one step has to say to the parameters."""

    delta: Scalar
    """δ."""
    traces: ParameterGroups
    """e, with this step's gradient in it."""
    gradient: ParameterGroups
    """∇, the newest that went into e."""
    bonus: ParameterGroups
    """η_H ∇H: ascended whatever δ is."""
    decay: ParameterGroups
    """γλ, one number a group."""

    def ascent(self) -> ParameterGroups:
        """δ e + bonus."""
        return jax.tree.map(lambda e, b: self.delta * e + b, self.traces, self.bonus)


class Optimizer(eqx.Module):
    """How parameters change after a TD error."""

    @abc.abstractmethod
    def init(self, params: ParameterGroups) -> PyTree:
        """The optimizer's state for these parameters."""

    @abc.abstractmethod
    def __call__(
        self, state: PyTree, params: ParameterGroups, credit: TDUpdate
    ) -> tuple[ParameterGroups, PyTree]:
        """Along δ e + bonus, by a step of its own size: the new parameters and state."""

    def direction(self, credit: TDUpdate) -> ParameterGroups:
        """What it is given to ascend, before it clips or rescales anything."""
        return credit.ascent()

    def over_envs(self) -> "Update":
        """This update for several streams that share the parameters.

        **Raises** `RtrrlError` where its steps depend on one stream's own traces.
        """
        raise RtrrlError(
            f"{type(self).__name__} learns from one stream at a time: leave --num-envs out, or take "
            f"--optimizer adam"
        )


def zeros_like(params: ParameterGroups) -> ParameterGroups:
    """Zeros in the place of every parameter."""
    return jax.tree.map(jnp.zeros_like, parameters(params))


def total(tree: PyTree) -> Scalar | float:
    """The sum of all entries; 0 where there are none."""
    # by a product with ones: XLA's CPU backend compiles plain sums into slow windows
    sums = (jnp.sum(leaf @ jnp.ones(leaf.shape[-1], leaf.dtype)) for leaf in jax.tree.leaves(tree))
    return sum(sums, 0.0)
