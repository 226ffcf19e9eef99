"""Any optax transformation of the direction δ e + bonus."""

import abc

import equinox as eqx
import jax
import optax

from rtrrl.types import PyTree, parameters
from rtrrl.updates.base import Credit, Groups, Update


class OptaxUpdate(Update):
    """Any optax transformation, one for each group, of the ascent direction δ e + bonus."""

    @abc.abstractmethod
    def transformation(self) -> optax.GradientTransformation:
        """What maps gradients, a `Groups`, to parameter changes."""

    def init(self, groups: Groups) -> PyTree:
        """The transformation's own state."""
        return self.transformation().init(parameters(groups))

    def __call__(self, state: PyTree, groups: Groups, credit: Credit) -> tuple[Groups, PyTree]:
        """One step along δ e + bonus."""
        return self.ascend(state, groups, credit.ascent())

    def ascend(self, state: PyTree, groups: Groups, direction: Groups) -> tuple[Groups, PyTree]:
        """One step of the transformation; optax descends, so the direction is negated."""
        descent = jax.tree.map(lambda up: -up, direction)
        change, state = self.transformation().update(descent, state, parameters(groups))
        return eqx.apply_updates(groups, change), state

    def over_streams(self) -> "MeanOverStreams":
        """Of their mean direction."""
        return MeanOverStreams(self)


STREAMS = "streams"
"""The name of the axis along which the streams of one agent lie, where it has several."""


class MeanOverStreams(Update):
    """Another update, of the mean direction over all streams that share the parameters.

    Its state is the other's own, so that an agent of several streams can go on with one.
    """

    update: OptaxUpdate

    def init(self, groups: Groups) -> PyTree:
        """The other's."""
        return self.update.init(groups)

    def direction(self, credit: Credit) -> Groups:
        """The mean of δ e + bonus."""
        return jax.lax.pmean(credit.ascent(), STREAMS)

    def __call__(self, state: PyTree, groups: Groups, credit: Credit) -> tuple[Groups, PyTree]:
        """One step of the other, along the mean."""
        return self.update.ascend(state, groups, self.direction(credit))


class PerGroup(OptaxUpdate):
    """A transformation of your own for each of actor, critic and cell.

    Functions cannot be written to config.json, so an agent with these trains without `out`.
    """

    actor: optax.GradientTransformation
    critic: optax.GradientTransformation
    cell: optax.GradientTransformation

    def transformation(self) -> optax.GradientTransformation:
        """Each group's own."""
        rules = Groups(self.actor, self.critic, self.cell)
        kinds = ("actor", "critic", "cell")

        def init(params: PyTree) -> PyTree:
            return tuple(getattr(rules, kind).init(getattr(params, kind)) for kind in kinds)

        def update(updates: PyTree, state: PyTree, params: PyTree = None) -> PyTree:
            pairs = [
                getattr(rules, kind).update(getattr(updates, kind), own, getattr(params, kind))
                for kind, own in zip(kinds, state, strict=True)
            ]
            changes, states = zip(*pairs, strict=True)
            return Groups(*changes), states

        return optax.GradientTransformation(init, update)
