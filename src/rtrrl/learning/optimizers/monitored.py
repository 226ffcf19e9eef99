"""An optimizer that records the mean and variance of its directions, and the size of its steps."""

import dataclasses

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Int

from rtrrl.learning.optimizers.base import Optimizer, ParameterGroups, TDUpdate, total, zeros_like
from rtrrl.types import PyTree, Scalar, parameters
from rtrrl.utils import validation


class UpdateStatistics(eqx.Module):
    """Statistics of recent directions G and changes Δθ."""

    count: Int[Array, ""]
    mean: ParameterGroups
    """E G, entry by entry."""
    variance: ParameterGroups
    """Var G, entry by entry."""
    squared_change: Scalar
    """E ‖Δθ‖²."""

    @classmethod
    def empty(cls, params: ParameterGroups) -> "UpdateStatistics":
        """The statistics of no updates."""
        zeros = zeros_like(params)
        return cls(jnp.zeros((), jnp.int32), zeros, zeros, jnp.zeros(()))

    def add(
        self, direction: ParameterGroups, change: ParameterGroups, horizon: int
    ) -> "UpdateStatistics":
        """With one more G and Δθ (West 1979); the first `horizon` of them have equal weights.

        w = 1 / min(count, horizon),  E ← E + w (G − E),  Var ← (1 − w) (Var + w (G − E)²)
        """
        count = self.count + 1
        w = 1.0 / jnp.minimum(count, horizon)
        difference = jax.tree.map(jnp.subtract, direction, self.mean)
        squared = total(jax.tree.map(jnp.square, change))
        return UpdateStatistics(
            count=count,
            mean=jax.tree.map(lambda mean, d: mean + w * d, self.mean, difference),
            variance=jax.tree.map(
                lambda var, d: (1 - w) * (var + w * d**2), self.variance, difference
            ),
            squared_change=self.squared_change + w * (squared - self.squared_change),
        )


class MonitoredOptimizerState(eqx.Module):
    """The state of the inner optimizer, and the statistics of its updates."""

    inner: PyTree
    statistics: UpdateStatistics


class MonitoredOptimizer(Optimizer):
    """An optimizer with the updates of `inner`, of which it records statistics.

    G is the direction that `inner` is given, before it clips or rescales anything; with several
    environments their mean. XLA compiles the two together, and may round the last bits differently
    from those without the statistics.
    """

    inner: Optimizer
    """The optimizer whose updates are recorded."""
    horizon: int = 1_000
    """The number of recent updates that the statistics are about."""

    def __check_init__(self) -> None:
        validation.counts(horizon=self.horizon)

    def init(self, params: ParameterGroups) -> MonitoredOptimizerState:
        return MonitoredOptimizerState(self.inner.init(params), UpdateStatistics.empty(params))

    def update(
        self, td_update: TDUpdate, state: MonitoredOptimizerState, params: ParameterGroups
    ) -> tuple[ParameterGroups, MonitoredOptimizerState]:
        updates, inner = self.inner.update(td_update, state.inner, params)
        # not `updates` themselves: so XLA compiles the same step as without the statistics
        before, after = parameters(params), parameters(eqx.apply_updates(params, updates))
        change = jax.tree.map(jnp.subtract, after, before)
        statistics = state.statistics.add(self.direction(td_update), change, self.horizon)
        return updates, MonitoredOptimizerState(inner, statistics)

    def direction(self, td_update: TDUpdate) -> ParameterGroups:
        return self.inner.direction(td_update)

    def over_envs(self) -> "MonitoredOptimizer":
        return dataclasses.replace(self, inner=self.inner.over_envs())
