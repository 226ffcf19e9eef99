"""Optimizers that are an optax transformation of the direction δ e + η_H ∇H."""

import abc
from typing import Any

import jax
import optax

from rtrrl.learning.optimizers.base import Optimizer, ParameterGroups, TDUpdate
from rtrrl.types import PyTree, parameters


class OptaxOptimizer(Optimizer):
    """An optax transformation of the ascent direction δ e + η_H ∇H."""

    @abc.abstractmethod
    def transformation(self) -> optax.GradientTransformation:
        """Maps gradients to updates; both are `ParameterGroups`."""

    def init(self, params: ParameterGroups) -> PyTree:
        return self.transformation().init(parameters(params))

    def update(
        self, td_update: TDUpdate, state: PyTree, params: ParameterGroups
    ) -> tuple[ParameterGroups, PyTree]:
        return self.ascend(td_update.ascent(), state, params)

    def ascend(
        self, direction: ParameterGroups, state: PyTree, params: ParameterGroups
    ) -> tuple[ParameterGroups, PyTree]:
        """The updates along an ascent direction, and the next state."""
        # optax descends
        descent: Any = jax.tree.map(lambda up: -up, direction)
        updates: Any
        updates, state = self.transformation().update(descent, state, parameters(params))
        return updates, state

    def over_envs(self) -> "MeanOverEnvs":
        return MeanOverEnvs(self)


ENVS_AXIS = "envs"
"""The name of the mapped axis over the environments that share the parameters of one agent."""


class MeanOverEnvs(Optimizer):
    """An optimizer of the mean direction over all environments that share the parameters.

    Its state is that of `inner`, so that an agent of several environments can be continued in one.
    """

    inner: OptaxOptimizer
    """The optimizer of the mean direction."""

    def init(self, params: ParameterGroups) -> PyTree:
        return self.inner.init(params)

    def direction(self, td_update: TDUpdate) -> ParameterGroups:
        return jax.lax.pmean(td_update.ascent(), ENVS_AXIS)

    def update(
        self, td_update: TDUpdate, state: PyTree, params: ParameterGroups
    ) -> tuple[ParameterGroups, PyTree]:
        return self.inner.ascend(self.direction(td_update), state, params)


class PerGroup(OptaxOptimizer):
    """One optax transformation for each of actor, critic and cell.

    Functions cannot be written to config.json: train such an agent without `out`.
    """

    actor: optax.GradientTransformation
    """The transformation for the actor."""
    critic: optax.GradientTransformation
    """The transformation for the critic."""
    cell: optax.GradientTransformation
    """The transformation for the cell."""

    def transformation(self) -> optax.GradientTransformation:
        rules: Any = {"actor": self.actor, "critic": self.critic, "cell": self.cell}
        return optax.multi_transform(rules, ParameterGroups("actor", "critic", "cell"))
