"""Policies over discrete actions."""

import dataclasses

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from rtrrl.environments.spaces import Discrete, MultiDiscrete
from rtrrl.learning.policies.base import Outputs, Policy
from rtrrl.types import Key, Scalar
from rtrrl.utils import validation

EXPLORATION = 0.001
"""ε of `with_exploration`: random actions that are too rare to lower the score much."""


class Categorical(Policy):
    """π(a | y) = (1 − ε) softmax(y)ₐ + ε/n: one of n actions, uniformly random with probability ε.

    **Raises** `SettingError` where ε does not lie in [0, 1), or is not one number for all seeds.
    """

    num_actions: int = eqx.field(static=True)
    """n, the number of actions."""
    exploration: float = eqx.field(static=True, default=0.0)
    """ε, the probability of a uniformly random action."""

    def __check_init__(self) -> None:
        _check_exploration(self.exploration)

    def with_exploration(self) -> "Categorical":
        """With a few random actions, without which a deterministic policy never changes again."""
        return dataclasses.replace(self, exploration=EXPLORATION)

    @property
    def action_space(self) -> Discrete:
        return Discrete(self.num_actions)

    @property
    def output_size(self) -> int:
        return self.num_actions

    @property
    def action_size(self) -> int:
        return self.num_actions

    def log_probabilities(self, y: Outputs) -> Float[Array, "actions"]:
        """log π of every action."""
        if self.exploration == 0:
            return jax.nn.log_softmax(y)
        return jnp.log(
            (1 - self.exploration) * jax.nn.softmax(y) + self.exploration / self.num_actions
        )

    def sample(self, key: Key, y: Outputs) -> Int[Array, ""]:
        return jax.random.categorical(
            key, y if self.exploration == 0 else self.log_probabilities(y)
        )

    def mode(self, y: Outputs) -> Int[Array, ""]:
        return jnp.argmax(y)

    def log_probability(self, y: Outputs, action: Int[Array, ""]) -> Scalar:
        return self.log_probabilities(y) @ self.encode(action).astype(y.dtype)

    def entropy(self, y: Outputs) -> Scalar:
        """−Σ π log π."""
        log_pi = self.log_probabilities(y)
        return -jnp.sum(jnp.exp(log_pi) * log_pi)

    def score(self, y: Outputs, action: Int[Array, ""]) -> Outputs:
        """onehot(a) − π: zero on average, and with ε = 0 the derivative of log π.

        For ε > 0 the derivative of log π vanishes for actions of small softmax(y), which then could
        not become more probable again. This does not vanish: it is the score of π as a softmax of
        its own log probabilities.
        """
        return self.encode(action).astype(y.dtype) - jnp.exp(self.log_probabilities(y))

    def entropy_gradient(self, y: Outputs) -> Outputs:
        """−(1 − ε) s (log π − s·log π) with s = softmax(y)."""
        log_pi, s = self.log_probabilities(y), jax.nn.softmax(y)
        return -(1 - self.exploration) * s * (log_pi - jnp.sum(s * log_pi))

    def encode(self, action: Int[Array, ""]) -> Float[Array, "action_size"]:
        """One-hot."""
        return jax.nn.one_hot(action, self.num_actions)

    @property
    def no_action(self) -> Int[Array, ""]:
        return jnp.argmax(jnp.zeros(self.num_actions))  # 0, of the type that `sample` has


class Factored(Policy):
    """π(a | y) = Πᵢ πᵢ(aᵢ | yᵢ): several discrete choices at once, independent given y.

    **Raises** `SettingError` where ε does not lie in [0, 1), or is not one number for all seeds.
    """

    sizes: tuple[int, ...] = eqx.field(static=True)
    """The number of options of each choice."""
    exploration: float = eqx.field(static=True, default=0.0)
    """ε, the probability of a uniformly random option, in each choice."""

    def __check_init__(self) -> None:
        _check_exploration(self.exploration)

    def with_exploration(self) -> "Factored":
        return dataclasses.replace(self, exploration=EXPLORATION)

    @property
    def action_space(self) -> MultiDiscrete:
        return MultiDiscrete(self.sizes)

    @property
    def output_size(self) -> int:
        return sum(self.sizes)

    @property
    def action_size(self) -> int:
        return sum(self.sizes)

    def _parts(self, y: Outputs) -> list[tuple[Categorical, Float[Array, "_"]]]:
        logits = jnp.split(y, np.cumsum(self.sizes)[:-1])
        kinds = [Categorical(n, self.exploration) for n in self.sizes]
        return list(zip(kinds, logits, strict=True))

    def sample(self, key: Key, y: Outputs) -> Int[Array, "choices"]:
        keys = jax.random.split(key, len(self.sizes))
        drawn = [pi.sample(k, part) for k, (pi, part) in zip(keys, self._parts(y), strict=True)]
        return jnp.stack(drawn)

    def mode(self, y: Outputs) -> Int[Array, "choices"]:
        return jnp.stack([pi.mode(part) for pi, part in self._parts(y)])

    def log_probability(self, y: Outputs, action: Int[Array, "choices"]) -> Scalar:
        """Σ log πᵢ(aᵢ | yᵢ)."""
        chosen = zip(self._parts(y), action, strict=True)
        return sum((pi.log_probability(part, a) for (pi, part), a in chosen), jnp.zeros(()))

    def score(self, y: Outputs, action: Int[Array, "choices"]) -> Outputs:
        chosen = zip(self._parts(y), action, strict=True)
        return jnp.concatenate([pi.score(part, a) for (pi, part), a in chosen])

    def entropy(self, y: Outputs) -> Scalar:
        """Σ H(πᵢ)."""
        return sum((pi.entropy(part) for pi, part in self._parts(y)), jnp.zeros(()))

    def encode(self, action: Int[Array, "choices"]) -> Float[Array, "action_size"]:
        """One-hots, concatenated."""
        chosen = zip(self.sizes, action, strict=True)
        return jnp.concatenate([Categorical(n).encode(a) for n, a in chosen])

    @property
    def no_action(self) -> Int[Array, "choices"]:
        return jnp.stack([Categorical(n).no_action for n in self.sizes])


def _check_exploration(exploration: float) -> None:
    validation.require_static(exploration=exploration)
    validation.below_one(exploration=exploration)
