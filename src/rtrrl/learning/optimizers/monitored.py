"""An update whose direction and size are measured as it goes."""

import dataclasses

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Int

from rtrrl.learning.optimizers.base import Optimizer, ParameterGroups, TDUpdate, total, zeros_like
from rtrrl.types import PyTree, Scalar, parameters


class UpdateStatistics(eqx.Module):
    """Of the latest updates: how many, E G and Var G entry by entry, and E ‖Δθ‖²."""

    count: Int[Array, ""]
    mean: ParameterGroups
    variance: ParameterGroups
    squared_change: Scalar

    @classmethod
    def empty(cls, params: ParameterGroups) -> "Statistics":
        """Nothing measured."""
        zeros = zeros_like(params)
        return cls(jnp.zeros((), jnp.int32), zeros, zeros, jnp.zeros(()))

    def including(
        self, direction: ParameterGroups, change: ParameterGroups, horizon: int
    ) -> "Statistics":
        """With one more G and Δθ (West 1979): all weigh alike until there are `horizon` of them.

        w = 1 / min(count, horizon),  E ← E + w (G − E),  Var ← (1 − w) (Var + w (G − E)²)
        """
        count = self.count + 1
        w = 1.0 / jnp.minimum(count, horizon)
        ahead = jax.tree.map(jnp.subtract, direction, self.mean)
        squared = total(jax.tree.map(jnp.square, change))
        return UpdateStatistics(
            count=count,
            mean=jax.tree.map(lambda mean, d: mean + w * d, self.mean, ahead),
            variance=jax.tree.map(lambda var, d: (1 - w) * (var + w * d**2), self.variance, ahead),
            squared_change=self.squared_change + w * (squared - self.squared_change),
        )


class MonitoredOptimizerState(eqx.Module):
    """The other update's state, and what was measured."""

    update: PyTree
    statistics: UpdateStatistics


class MonitoredOptimizer(Optimizer):
    """Another update, measured: it gets and gives the same numbers.

    G is the direction that the other is given, before it clips or rescales anything; the mean over
    the streams where it has several. Δθ is the step it makes. Of updates longer ago than `horizon`
    ever less is left. XLA, which compiles the two together, may round the last bits of a life
    otherwise than without the measuring.
    """

    update: Optimizer
    horizon: int = 1_000

    def init(self, params: ParameterGroups) -> MonitoredOptimizerState:
        """The other's, and nothing measured."""
        return MonitoredOptimizerState(self.update.init(params), UpdateStatistics.empty(params))

    def __call__(
        self, state: MonitoredOptimizerState, params: ParameterGroups, credit: TDUpdate
    ) -> tuple[ParameterGroups, MonitoredOptimizerState]:
        """What the other does."""
        new, inner = self.update(state.update, params, credit)
        before, after = parameters(params), parameters(new)
        change = jax.tree.map(jnp.subtract, after, before)
        statistics = state.statistics.including(self.direction(credit), change, self.horizon)
        return new, MonitoredOptimizerState(inner, statistics)

    def direction(self, credit: TDUpdate) -> ParameterGroups:
        """The other's."""
        return self.update.direction(credit)

    def over_envs(self) -> "Monitored":
        """The other's, measured."""
        return dataclasses.replace(self, update=self.update.over_envs())
