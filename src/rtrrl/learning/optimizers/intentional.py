"""Steps that are sized by what they are to change."""

import equinox as eqx
import jax
import jax.numpy as jnp

from rtrrl.learning.optimizers.averages import Average
from rtrrl.learning.optimizers.base import Optimizer, ParameterGroups, TDUpdate, by_group, total
from rtrrl.types import PyTree, Scalar, parameters
from rtrrl.utils import validation

SMALLEST = 1e-8
"""What a step size is divided by at least."""


class GradientStatistics(eqx.Module):
    """What the gradients of one group have been like."""

    square: Average
    """ν, of g²."""
    length: Average
    """σ, of Σ g²/m."""


class ErrorStatistics(eqx.Module):
    """What TD errors have been like."""

    square: Average
    """Of δ²."""
    size: Average
    """Of |δ|."""


class IntentionalState(eqx.Module):
    """What intentional updates remember."""

    gradients: ParameterGroups
    """Of `GradientStatistics`."""
    errors: ErrorStatistics


class Intentional(Optimizer):
    """Steps that change an output by a chosen part η of δ (arXiv 2605.24709), in each group:

        ν̂ = mean of g²,    m = √ν̂ + ε,    σ̂ = mean of Σ g²/m
        θ += α (δ e + bonus) / m,    α = η / √(σ̂ Σ e²/m)

    g is the newest gradient, e the trace. The means forget, ν̂ at β₂ a step and σ̂ at γλ, and are
    free of the bias towards their start. δ is clipped at `clip` times the root mean square of the
    clipped ones before it. For the actor, whose output log π has no units of δ, it is divided by
    the mean of |δ|. The recurrence's trace mixes the gradients of both; it is treated as the
    critic's, with an η of its own. A group whose trace is 0 stays as it is.
    """

    eta_actor: float = 0.05
    """η of the actor, in units of log π."""
    eta_critic: float = 0.5
    """η of the critic: the part of δ that one step takes away."""
    eta_recurrent: float = 0.05
    """η of the cell."""
    clip: float = 20.0
    b2: float = 0.999
    """β₂, at which ν̂ forgets."""
    error_decay: float = 0.9998
    """At which the means of δ² and |δ| forget."""
    epsilon: float = 1e-8
    """ε."""

    def __check_init__(self) -> None:
        validation.nonnegative(
            eta_actor=self.eta_actor, eta_critic=self.eta_critic, eta_recurrent=self.eta_recurrent
        )
        validation.nonnegative_or_inf(clip=self.clip)
        validation.in_unit_interval(b2=self.b2, error_decay=self.error_decay)
        validation.positive(epsilon=self.epsilon)

    def init(self, params: ParameterGroups) -> IntentionalState:
        """Nothing seen."""
        nothing = jnp.zeros(())

        def unseen(group: PyTree) -> GradientStatistics:
            return GradientStatistics(Average.empty(group), Average.empty(nothing))

        errors = ErrorStatistics(Average.empty(nothing), Average.empty(nothing))
        return IntentionalState(by_group(unseen, parameters(params)), errors)

    def __call__(
        self, state: IntentionalState, params: ParameterGroups, credit: TDUpdate
    ) -> tuple[ParameterGroups, IntentionalState]:
        """α (δ e + bonus) / m, with an α and a δ for each group."""
        delta = self._clipped(credit.delta, state.errors)
        errors = ErrorStatistics(
            state.errors.square.including(delta**2, self.error_decay),
            state.errors.size.including(jnp.abs(delta), self.error_decay),
        )
        gradients = by_group(self._including, state.gradients, credit.gradient, credit.decay)
        etas = ParameterGroups(self.eta_actor, self.eta_critic, self.eta_recurrent)
        deltas = ParameterGroups(delta / jnp.maximum(errors.size.mean, SMALLEST), delta, delta)
        changes = by_group(self._change, etas, deltas, gradients, credit.traces, credit.bonus)
        return eqx.apply_updates(params, changes), IntentionalState(gradients, errors)

    def _clipped(self, delta: Scalar, errors: ErrorStatistics) -> Scalar:
        usual = jnp.sqrt(errors.square.mean)
        bound = jnp.where(usual > 0, self.clip * usual, jnp.inf)
        return jnp.clip(delta, -bound, bound)

    def _including(
        self, seen: GradientStatistics, gradient: PyTree, decay: Scalar | float
    ) -> GradientStatistics:
        square = seen.square.including(jax.tree.map(lambda g: g**2, gradient), self.b2)
        length = _length(gradient, self._units(square))
        return GradientStatistics(square, seen.length.including(length, decay))

    def _change(
        self,
        eta: Scalar | float,
        delta: Scalar,
        seen: GradientStatistics,
        trace: PyTree,
        bonus: PyTree,
    ) -> PyTree:
        m = self._units(seen.square)
        reach = jnp.sqrt(seen.length.mean * _length(trace, m))
        alpha = jnp.where(reach > 0, eta / jnp.maximum(reach, SMALLEST), 0.0)
        return jax.tree.map(lambda e, b, m: alpha * (delta * e + b) / m, trace, bonus, m)

    def _units(self, square: Average) -> PyTree:
        """m = √ν̂ + ε."""
        return jax.tree.map(lambda v: jnp.sqrt(v) + self.epsilon, square.mean)


def _length(tree: PyTree, m: PyTree) -> Scalar | float:
    """Σ x²/m."""
    return total(jax.tree.map(lambda x, m: x**2 / m, tree, m))
