"""Steps that are bounded so that they do not overshoot."""

import dataclasses

import equinox as eqx
import jax
import jax.numpy as jnp

from rtrrl.learning.optimizers.averages import Average
from rtrrl.learning.optimizers.base import Optimizer, ParameterGroups, TDUpdate, by_group, total
from rtrrl.types import PyTree, Scalar, parameters
from rtrrl.utils import validation


class ObGD(Optimizer):
    """Overshoot-bounded gradient descent (Elsayed et al. 2024), in each group of parameters:

        θ += α (δ e + bonus),    α = α₀ / max(1, α₀ κ max(|δ|, 1) ‖e‖₁)

    So a step changes no value that is linear in features of size 1 or less by more than
    min(|δ|, 1) / κ. Each group has a bound of its own: the recurrence's trace grows with its
    memory, and would shrink the steps of the readouts.
    """

    learning_rate: float = 1.0
    """α₀."""
    kappa_actor: float = 3.0
    """κ of the actor; the larger, the smaller the steps."""
    kappa_critic: float = 2.0
    """κ of the critic."""
    kappa_recurrent: float = 2.0
    """κ of the cell."""

    def __check_init__(self) -> None:
        validation.nonnegative(
            learning_rate=self.learning_rate,
            kappa_actor=self.kappa_actor,
            kappa_critic=self.kappa_critic,
            kappa_recurrent=self.kappa_recurrent,
        )

    def init(self, params: ParameterGroups) -> PyTree:
        """It remembers nothing."""
        return None

    def __call__(
        self, state: PyTree, params: ParameterGroups, credit: TDUpdate
    ) -> tuple[ParameterGroups, PyTree]:
        """α (δ e + bonus), with an α for each group."""
        kappas = ParameterGroups(self.kappa_actor, self.kappa_critic, self.kappa_recurrent)

        def change(kappa: Scalar | float, trace: PyTree, ascent: PyTree) -> PyTree:
            reach = jnp.maximum(jnp.abs(credit.delta), 1) * total(jax.tree.map(jnp.abs, trace))
            alpha = self.learning_rate / jnp.maximum(1, self.learning_rate * kappa * reach)
            return jax.tree.map(lambda up: alpha * up, ascent)

        changes = by_group(change, kappas, credit.traces, credit.ascent())
        return eqx.apply_updates(params, changes), state


class AdaptiveObGD(ObGD):
    """ObGD of traces in units of their own step's root mean square (Elsayed et al. 2024):

        v ← β₂ v + (1 − β₂) (δ e)²,    e and bonus divided by √(v̂ + ε) in step and bound

    v̂ is v without its bias towards its start at 0.
    """

    b2: float = 0.999
    """β₂."""
    epsilon: float = 1e-8
    """ε."""

    def __check_init__(self) -> None:
        validation.in_unit_interval(b2=self.b2)
        validation.positive(epsilon=self.epsilon)

    def init(self, params: ParameterGroups) -> Average:
        """v of nothing yet."""
        return Average.empty(parameters(params))

    def __call__(
        self, state: Average, params: ParameterGroups, credit: TDUpdate
    ) -> tuple[ParameterGroups, Average]:
        """ObGD's step after rescaling."""
        squares = jax.tree.map(lambda e: (credit.delta * e) ** 2, credit.traces)
        state = state.including(squares, self.b2)
        units = jax.tree.map(lambda v: jnp.sqrt(v + self.epsilon), state.mean)
        rescaled = dataclasses.replace(
            credit,
            traces=jax.tree.map(jnp.divide, credit.traces, units),
            bonus=jax.tree.map(jnp.divide, credit.bonus, units),
        )
        params, _ = super().__call__(None, params, rescaled)
        return params, state
