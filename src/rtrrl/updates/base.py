"""What a step has to say to the parameters, and what every update is."""

import abc
from collections.abc import Callable

import equinox as eqx
import jax
import jax.numpy as jnp

from rtrrl.errors import RtrrlError
from rtrrl.types import PyTree, Scalar, parameters


class Groups(eqx.Module):
    """One thing for each parameter group of an actor-critic on a recurrent state."""

    actor: PyTree
    critic: PyTree
    cell: PyTree


def by_group(function: Callable[..., PyTree], *groups: Groups) -> Groups:
    """`function` of what stands for the actor, then for the critic, then for the cell."""
    return Groups(
        function(*(each.actor for each in groups)),
        function(*(each.critic for each in groups)),
        function(*(each.cell for each in groups)),
    )


class Credit(eqx.Module):
    """What one step has to say to the parameters."""

    delta: Scalar
    """δ."""
    traces: Groups
    """e, with this step's gradient in it."""
    gradient: Groups
    """∇, the newest that went into e."""
    bonus: Groups
    """η_H ∇H: ascended whatever δ is."""
    decay: Groups
    """γλ, one number a group."""

    def ascent(self) -> Groups:
        """δ e + bonus."""
        return jax.tree.map(lambda e, b: self.delta * e + b, self.traces, self.bonus)


class Update(eqx.Module):
    """How parameters change after a TD error."""

    @abc.abstractmethod
    def init(self, groups: Groups) -> PyTree:
        """The optimizer's state for these parameters."""

    @abc.abstractmethod
    def __call__(self, state: PyTree, groups: Groups, credit: Credit) -> tuple[Groups, PyTree]:
        """Along δ e + bonus, by a step of its own size: the new parameters and state."""

    def direction(self, credit: Credit) -> Groups:
        """What it is given to ascend, before it clips or rescales anything."""
        return credit.ascent()

    def over_streams(self) -> "Update":
        """This update for several streams that share the parameters.

        **Raises** `RtrrlError` where its steps depend on one stream's own traces.
        """
        raise RtrrlError(
            f"{type(self).__name__} learns from one stream at a time: leave --envs out, or take "
            f"--optimizer adam"
        )


def zeros_like(groups: Groups) -> Groups:
    """Zeros in the place of every parameter."""
    return jax.tree.map(jnp.zeros_like, parameters(groups))


def total(tree: PyTree) -> Scalar | float:
    """The sum of all entries; 0 where there are none."""
    # by a product with ones: XLA's CPU backend compiles plain sums into slow windows
    sums = (jnp.sum(leaf @ jnp.ones(leaf.shape[-1], leaf.dtype)) for leaf in jax.tree.leaves(tree))
    return sum(sums, 0.0)
