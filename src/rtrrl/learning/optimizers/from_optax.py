"""Any optax transformation of the direction δ e + bonus."""

import abc

import equinox as eqx
import jax
import optax

from rtrrl.learning.optimizers.base import Optimizer, ParameterGroups, TDUpdate
from rtrrl.types import PyTree, parameters


class OptaxOptimizer(Optimizer):
    """Any optax transformation, one for each group, of the ascent direction δ e + bonus."""

    @abc.abstractmethod
    def transformation(self) -> optax.GradientTransformation:
        """What maps gradients, a `Groups`, to parameter changes."""

    def init(self, params: ParameterGroups) -> PyTree:
        """The transformation's own state."""
        return self.transformation().init(parameters(params))

    def __call__(
        self, state: PyTree, params: ParameterGroups, credit: TDUpdate
    ) -> tuple[ParameterGroups, PyTree]:
        """One step along δ e + bonus."""
        return self.ascend(state, params, credit.ascent())

    def ascend(
        self, state: PyTree, params: ParameterGroups, direction: ParameterGroups
    ) -> tuple[ParameterGroups, PyTree]:
        """One step of the transformation; optax descends, so the direction is negated."""
        descent = jax.tree.map(lambda up: -up, direction)
        change, state = self.transformation().update(descent, state, parameters(params))
        return eqx.apply_updates(params, change), state

    def over_envs(self) -> "MeanOverStreams":
        """Of their mean direction."""
        return MeanOverEnvs(self)


ENVS_AXIS = "envs"
"""The name of the axis along which the streams of one agent lie, where it has several."""


class MeanOverEnvs(Optimizer):
    """Another update, of the mean direction over all streams that share the parameters.

    Its state is the other's own, so that an agent of several streams can go on with one.
    """

    update: OptaxOptimizer

    def init(self, params: ParameterGroups) -> PyTree:
        """The other's."""
        return self.update.init(params)

    def direction(self, credit: TDUpdate) -> ParameterGroups:
        """The mean of δ e + bonus."""
        return jax.lax.pmean(credit.ascent(), ENVS_AXIS)

    def __call__(
        self, state: PyTree, params: ParameterGroups, credit: TDUpdate
    ) -> tuple[ParameterGroups, PyTree]:
        """One step of the other, along the mean."""
        return self.update.ascend(state, params, self.direction(credit))


class PerGroup(OptaxOptimizer):
    """A transformation of your own for each of actor, critic and cell.

    Functions cannot be written to config.json, so an agent with these trains without `out`.
    """

    actor: optax.GradientTransformation
    critic: optax.GradientTransformation
    cell: optax.GradientTransformation

    def transformation(self) -> optax.GradientTransformation:
        """Each group's own."""
        rules = ParameterGroups(self.actor, self.critic, self.cell)
        kinds = ("actor", "critic", "cell")

        def init(params: PyTree) -> PyTree:
            return tuple(getattr(rules, kind).init(getattr(params, kind)) for kind in kinds)

        def update(updates: PyTree, state: PyTree, params: PyTree = None) -> PyTree:
            pairs = [
                getattr(rules, kind).update(getattr(updates, kind), own, getattr(params, kind))
                for kind, own in zip(kinds, state, strict=True)
            ]
            changes, states = zip(*pairs, strict=True)
            return ParameterGroups(*changes), states

        return optax.GradientTransformation(init, update)
