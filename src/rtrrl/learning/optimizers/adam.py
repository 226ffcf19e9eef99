"""Adam, the paper's optimizer."""

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

    **Raises** `SettingError` where a rate is negative, a decay not below 1, or ε not positive.
    """

    learning_rate: float = 1e-3
    """α_C, the critic's learning rate."""
    actor_multiple: float = 1.0
    """α_A / α_C: the actor's learning rate in units of the critic's."""
    recurrent_multiple: float = 1.0
    """α_R / α_C: the cell's learning rate in units of the critic's."""
    clip: float = 1.0
    """The largest norm of the gradient over all parameters; inf: no clipping."""
    b1: float = 0.9
    """β₁, the decay of the first moment."""
    b2: float = 0.999
    """β₂, the decay of the second moment."""
    epsilon: float = 1e-8
    """ε, added to the root of the second moment."""

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
    """`optax.clip_by_global_norm` with sums that are fast on a CPU."""

    def clip(updates: PyTree, _: PyTree = None) -> PyTree:
        norm = jnp.sqrt(total(jax.tree.map(lambda leaf: leaf**2, updates)))
        scale = jnp.where(norm > bound, bound / norm, 1.0)
        return jax.tree.map(lambda leaf: scale * leaf, updates)

    return optax.stateless(clip)
