"""Steps sized by the change of output they cause."""

import equinox as eqx
import jax
import jax.numpy as jnp

from rtrrl.learning.optimizers.averages import Average
from rtrrl.learning.optimizers.base import Optimizer, ParameterGroups, TDUpdate, by_group, total
from rtrrl.types import PyTree, Scalar, parameters
from rtrrl.utils import validation

SMALLEST = 1e-8
"""A lower bound of the divisor of a step size."""


class GradientStatistics(eqx.Module):
    """Running means of one group's gradients."""

    square: Average
    """ν, of g²."""
    length: Average
    """σ, of Σ g²/m."""


class ErrorStatistics(eqx.Module):
    """Running means of TD errors."""

    square: Average
    """Of δ²."""
    size: Average
    """Of |δ|."""


class IntentionalState(eqx.Module):
    """The running means of gradients and TD errors."""

    gradients: ParameterGroups
    """A `GradientStatistics` for each group."""
    errors: ErrorStatistics


class Intentional(Optimizer):
    """Steps that change an output by a chosen part η of δ (arXiv 2605.24709), in each group:

        ν̂ = mean of g²,    m = √ν̂ + ε,    σ̂ = mean of Σ g²/m
        θ += α (δ e + η_H ∇H) / m,    α = η / √(σ̂ Σ e²/m)

    g is the latest gradient, e the trace. The means are exponentially weighted, ν̂ with β₂ and σ̂
    with γλ, and bias-corrected. δ is clipped at `clip` times the root mean square of the clipped
    ones before it. For the actor, whose output log π is not in units of δ, δ is divided by the mean
    of |δ|. The cell's trace mixes the gradients of both readouts; its δ is the critic's, its η its
    own. A group whose trace is 0 is not changed.
    """

    eta_actor: float = 0.05
    """η of the actor, in units of log π."""
    eta_critic: float = 0.5
    """η of the critic: the part of δ that one step removes."""
    eta_recurrent: float = 0.05
    """η of the cell."""
    clip: float = 20.0
    """The largest |δ|, in units of its root mean square."""
    b2: float = 0.999
    """β₂, the decay of ν̂."""
    error_decay: float = 0.9998
    """The decay of the means of δ² and |δ|."""
    epsilon: float = 1e-8
    """ε, added to √ν̂."""

    def __check_init__(self) -> None:
        validation.nonnegative(
            eta_actor=self.eta_actor, eta_critic=self.eta_critic, eta_recurrent=self.eta_recurrent
        )
        validation.nonnegative_or_inf(clip=self.clip)
        validation.in_unit_interval(b2=self.b2, error_decay=self.error_decay)
        validation.positive(epsilon=self.epsilon)

    def init(self, params: ParameterGroups) -> IntentionalState:
        scalar = Average.empty(jnp.zeros(()))
        gradients = by_group(
            lambda group: GradientStatistics(Average.empty(group), scalar), parameters(params)
        )
        return IntentionalState(gradients, ErrorStatistics(scalar, scalar))

    def update(
        self, td_update: TDUpdate, state: IntentionalState, params: ParameterGroups
    ) -> tuple[ParameterGroups, IntentionalState]:
        delta = self._clip(td_update.delta, state.errors)
        errors = ErrorStatistics(
            state.errors.square.add(delta**2, self.error_decay),
            state.errors.size.add(jnp.abs(delta), self.error_decay),
        )
        gradients = by_group(self._add, state.gradients, td_update.gradient, td_update.decay)
        etas = ParameterGroups(self.eta_actor, self.eta_critic, self.eta_recurrent)
        deltas = ParameterGroups(delta / jnp.maximum(errors.size.mean, SMALLEST), delta, delta)
        updates = by_group(
            self._step, etas, deltas, gradients, td_update.traces, td_update.entropy_bonus
        )
        return updates, IntentionalState(gradients, errors)

    def _clip(self, delta: Scalar, errors: ErrorStatistics) -> Scalar:
        rms = jnp.sqrt(errors.square.mean)
        bound = jnp.where(rms > 0, self.clip * rms, jnp.inf)
        return jnp.clip(delta, -bound, bound)

    def _add(
        self, statistics: GradientStatistics, gradient: PyTree, decay: Scalar | float
    ) -> GradientStatistics:
        square = statistics.square.add(jax.tree.map(lambda g: g**2, gradient), self.b2)
        length = _length(gradient, self._units(square))
        return GradientStatistics(square, statistics.length.add(length, decay))

    def _step(
        self,
        eta: Scalar | float,
        delta: Scalar,
        statistics: GradientStatistics,
        trace: PyTree,
        entropy_bonus: PyTree,
    ) -> PyTree:
        """α (δ e + η_H ∇H) / m."""
        m = self._units(statistics.square)
        reach = jnp.sqrt(statistics.length.mean * _length(trace, m))
        alpha = jnp.where(reach > 0, eta / jnp.maximum(reach, SMALLEST), 0.0)
        return jax.tree.map(lambda e, b, m: alpha * (delta * e + b) / m, trace, entropy_bonus, m)

    def _units(self, square: Average) -> PyTree:
        """m = √ν̂ + ε."""
        return jax.tree.map(lambda v: jnp.sqrt(v) + self.epsilon, square.mean)


def _length(tree: PyTree, m: PyTree) -> Scalar | float:
    """Σ x²/m."""
    return total(jax.tree.map(lambda x, m: x**2 / m, tree, m))
