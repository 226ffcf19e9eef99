"""Steps with a bound that prevents overshooting."""

import dataclasses

import jax
import jax.numpy as jnp

from rtrrl.learning.optimizers.averages import Average
from rtrrl.learning.optimizers.base import Optimizer, ParameterGroups, TDUpdate, by_group, total
from rtrrl.types import PyTree, Scalar, parameters
from rtrrl.utils import validation


class ObGD(Optimizer):
    """Overshoot-bounded gradient descent (Elsayed et al. 2024), in each group of parameters:

        θ += α (δ e + η_H ∇H),    α = α₀ / max(1, α₀ κ max(|δ|, 1) ‖e‖₁)

    So a step changes no value that is linear in features of size 1 or less by more than
    min(|δ|, 1) / κ. Each group has its own bound: the cell's trace grows with its memory, and
    would shrink the steps of the readouts.
    """

    learning_rate: float = 1.0
    """α₀, the largest step size."""
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
        return None

    def update(
        self, td_update: TDUpdate, state: PyTree, params: ParameterGroups
    ) -> tuple[ParameterGroups, PyTree]:
        kappas = ParameterGroups(self.kappa_actor, self.kappa_critic, self.kappa_recurrent)

        def step(kappa: Scalar | float, trace: PyTree, ascent: PyTree) -> PyTree:
            reach = jnp.maximum(jnp.abs(td_update.delta), 1) * total(jax.tree.map(jnp.abs, trace))
            alpha = self.learning_rate / jnp.maximum(1, self.learning_rate * kappa * reach)
            return jax.tree.map(lambda up: alpha * up, ascent)

        return by_group(step, kappas, td_update.traces, td_update.ascent()), state


class AdaptiveObGD(ObGD):
    """ObGD of traces in units of the root mean square of δ e (Elsayed et al. 2024):

        v ← β₂ v + (1 − β₂) (δ e)²,    e and η_H ∇H divided by √(v̂ + ε) in step and bound

    v̂ is the bias-corrected v.
    """

    b2: float = 0.999
    """β₂, the decay of v."""
    epsilon: float = 1e-8
    """ε, added to v̂."""

    def __check_init__(self) -> None:
        validation.in_unit_interval(b2=self.b2)
        validation.positive(epsilon=self.epsilon)

    def init(self, params: ParameterGroups) -> Average:
        return Average.empty(parameters(params))

    def update(
        self, td_update: TDUpdate, state: Average, params: ParameterGroups
    ) -> tuple[ParameterGroups, Average]:
        squares = jax.tree.map(lambda e: (td_update.delta * e) ** 2, td_update.traces)
        state = state.add(squares, self.b2)
        units = jax.tree.map(lambda v: jnp.sqrt(v + self.epsilon), state.mean)
        rescaled = dataclasses.replace(
            td_update,
            traces=jax.tree.map(jnp.divide, td_update.traces, units),
            entropy_bonus=jax.tree.map(jnp.divide, td_update.entropy_bonus, units),
        )
        updates, _ = super().update(rescaled, None, params)
        return updates, state
