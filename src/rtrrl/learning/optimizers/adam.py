"""The paper's optimizer."""

import math

import jax
import jax.numpy as jnp
import optax

from rtrrl.learning.optimizers.base import ParameterGroups, total
from rtrrl.learning.optimizers.from_optax import OptaxOptimizer
from rtrrl.types import PyTree
from rtrrl.utils import validation


class Adam(OptaxOptimizer):
    """Adam after clipping the norm over all parameters together (RTRRL, appendix).

    `learning_rate` is α_C; the actor's and the recurrence's are multiples of it.

    **Raises** `ValueError` where a rate is negative, a decay not below 1, or ε not positive.
    """

    learning_rate: float = 1e-3
    actor_multiple: float = 1.0
    recurrent_multiple: float = 1.0
    clip: float = 1.0
    b1: float = 0.9
    b2: float = 0.999
    epsilon: float = 1e-8

    def __check_init__(self) -> None:
        validation.nonnegative(
            learning_rate=self.learning_rate,
            actor_multiple=self.actor_multiple,
            recurrent_multiple=self.recurrent_multiple,
        )
        validation.nonnegative_or_inf(clip=self.clip)
        validation.below_one(b1=self.b1, b2=self.b2)
        validation.positive(epsilon=self.epsilon)

    def transformation(self) -> optax.GradientTransformation:
        """Clip, then Adam, then the step size of each group."""
        multiples = ParameterGroups(self.actor_multiple, 1.0, self.recurrent_multiple)

        def rescale(updates: PyTree, _: PyTree = None) -> PyTree:
            return jax.tree.map(
                lambda multiple, group: jax.tree.map(
                    lambda u: -self.learning_rate * multiple * u, group
                ),
                multiples,
                updates,
            )

        unclipped = isinstance(self.clip, float) and math.isinf(self.clip)
        return optax.chain(
            optax.identity() if unclipped else _clip_by_norm(self.clip),
            optax.scale_by_adam(self.b1, self.b2, self.epsilon),
            optax.stateless(rescale),
        )


def _clip_by_norm(bound: float) -> optax.GradientTransformation:
    """As `optax.clip_by_global_norm`, with sums that are fast on a CPU."""

    def clip(updates: PyTree, _: PyTree = None) -> PyTree:
        norm = jnp.sqrt(total(jax.tree.map(lambda leaf: leaf**2, updates)))
        scale = jnp.where(norm > bound, bound / norm, 1.0)
        return jax.tree.map(lambda leaf: scale * leaf, updates)

    return optax.stateless(clip)
