"""Eligibility traces: decaying sums of past gradients."""

import abc

import jax
import jax.numpy as jnp

from rtrrl.types import PyTree, Scalar
from rtrrl.utils import validation
from rtrrl.utils.registry import Registry


class Trace(validation.Settings):
    """e' = f(e, ∇, γλ), over the whole parameter vector of one group."""

    @abc.abstractmethod
    def __call__(self, trace: PyTree, gradient: PyTree, decay: Scalar | float) -> PyTree:
        """The next trace; `decay` is γλ."""


class Accumulating(Trace):
    """e' = γλ e + ∇ (RTRRL §1)."""

    def __call__(self, trace: PyTree, gradient: PyTree, decay: Scalar | float) -> PyTree:
        return jax.tree.map(lambda e, g: decay * e + g, trace, gradient)


class Replacing(Trace):
    """e' = ∇ where it is not zero, else γλ e (Singh & Sutton 1996)."""

    def __call__(self, trace: PyTree, gradient: PyTree, decay: Scalar | float) -> PyTree:
        return jax.tree.map(lambda e, g: jnp.where(g == 0, decay * e, g), trace, gradient)


class Dutch(Trace):
    """e' = γλ e + (1 − α γλ e·∇) ∇ (van Seijen et al. 2016).

    The product e·∇ is over the whole parameter vector of the group. This is the trace alone: true
    online TD(λ) also corrects the update for v − v_old, which the agent does not.

    **Raises** `SettingError` where α is negative or infinite.
    """

    step_size: float = 1e-3
    """α, that of the update in which the trace is used; the trace is not multiplied by it."""

    def __check_init__(self) -> None:
        validation.nonnegative(step_size=self.step_size)

    def __call__(self, trace: PyTree, gradient: PyTree, decay: Scalar | float) -> PyTree:
        products = jax.tree.map(jnp.vdot, trace, gradient)
        overlap = self.step_size * decay * sum(jax.tree.leaves(products))
        return jax.tree.map(lambda e, g: decay * e + (1 - overlap) * g, trace, gradient)


TRACES: Registry[Trace] = Registry(
    "trace",
    {
        "accumulating": Accumulating,
        "replacing": Replacing,
        "dutch": Dutch,
    },
)
