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
"""ε of a policy that is to explore for life: a chance of mistakes that hardly costs a score."""


class Categorical(Policy):
    """π(a | y) = (1 − ε) softmax(y)ₐ + ε/n: of n actions, a share ε is drawn blindly.

    **Raises** `ValueError` where `exploration`, ε, does not lie in [0, 1).
    """

    num_actions: int = eqx.field(static=True)
    exploration: float = eqx.field(static=True, default=0.0)

    def __check_init__(self) -> None:
        _check_share(self.exploration)

    def exploring(self) -> "Categorical":
        """With a few blind actions: who is certain never finds out that he is wrong."""
        return dataclasses.replace(self, exploration=EXPLORATION)

    @property
    def action_space(self) -> Discrete:
        return Discrete(self.num_actions)

    @property
    def output_size(self) -> int:
        """One logit per action."""
        return self.num_actions

    @property
    def action_size(self) -> int:
        """One-hot."""
        return self.num_actions

    def log_probabilities(self, y: Outputs) -> Float[Array, "actions"]:
        """log π of every action."""
        if self.exploration == 0:
            return jax.nn.log_softmax(y)
        return jnp.log(
            (1 - self.exploration) * jax.nn.softmax(y) + self.exploration / self.num_actions
        )

    def sample(self, key: Key, y: Outputs) -> Int[Array, ""]:
        """By the Gumbel trick."""
        return jax.random.categorical(
            key, y if self.exploration == 0 else self.log_probabilities(y)
        )

    def mode(self, y: Outputs) -> Int[Array, ""]:
        """The largest logit."""
        return jnp.argmax(y)

    def log_probability(self, y: Outputs, action: Int[Array, ""]) -> Scalar:
        """log π(a)."""
        return self.log_probabilities(y) @ self.encode(action).astype(y.dtype)

    def entropy(self, y: Outputs) -> Scalar:
        """−Σ π log π."""
        log_pi = self.log_probabilities(y)
        return -jnp.sum(jnp.exp(log_pi) * log_pi)

    def score(self, y: Outputs, action: Int[Array, ""]) -> Outputs:
        """onehot(a) − π: zero on average, and with ε = 0 the derivative of log π.

        With blind actions that derivative vanishes just where it is needed, for actions that
        softmax(y) has all but given up. This does not: it is the score that π has as a softmax of
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

    def admissible(self, action: Int[Array, ""]) -> Int[Array, ""]:
        """The action itself."""
        return action

    @property
    def no_action(self) -> Int[Array, ""]:
        """Zero."""
        return jnp.argmax(jnp.zeros(self.num_actions))  # 0, of the type that `sample` has


class Factored(Policy):
    """π(a | y) = Πᵢ πᵢ(aᵢ | yᵢ): several discrete choices at once, independent given y."""

    sizes: tuple[int, ...] = eqx.field(static=True)
    exploration: float = eqx.field(static=True, default=0.0)

    def __check_init__(self) -> None:
        _check_share(self.exploration)

    def exploring(self) -> "Factored":
        """With a few blind choices."""
        return dataclasses.replace(self, exploration=EXPLORATION)

    @property
    def action_space(self) -> MultiDiscrete:
        return MultiDiscrete(self.sizes)

    @property
    def output_size(self) -> int:
        """One logit per choice and option."""
        return sum(self.sizes)

    @property
    def action_size(self) -> int:
        """One-hots side by side."""
        return sum(self.sizes)

    def _parts(self, y: Outputs) -> list[tuple[Categorical, Float[Array, "_"]]]:
        logits = jnp.split(y, np.cumsum(self.sizes)[:-1])
        kinds = [Categorical(n, self.exploration) for n in self.sizes]
        return list(zip(kinds, logits, strict=True))

    def sample(self, key: Key, y: Outputs) -> Int[Array, "choices"]:
        """Each choice with a key of its own."""
        keys = jax.random.split(key, len(self.sizes))
        drawn = [pi.sample(k, part) for k, (pi, part) in zip(keys, self._parts(y), strict=True)]
        return jnp.stack(drawn)

    def mode(self, y: Outputs) -> Int[Array, "choices"]:
        """The largest logit of each choice."""
        return jnp.stack([pi.mode(part) for pi, part in self._parts(y)])

    def log_probability(self, y: Outputs, action: Int[Array, "choices"]) -> Scalar:
        """Σ log πᵢ(aᵢ | yᵢ)."""
        chosen = zip(self._parts(y), action, strict=True)
        return sum((pi.log_probability(part, a) for (pi, part), a in chosen), jnp.zeros(()))

    def score(self, y: Outputs, action: Int[Array, "choices"]) -> Outputs:
        """Each choice's own."""
        chosen = zip(self._parts(y), action, strict=True)
        return jnp.concatenate([pi.score(part, a) for (pi, part), a in chosen])

    def entropy(self, y: Outputs) -> Scalar:
        """Σ H(πᵢ)."""
        return sum((pi.entropy(part) for pi, part in self._parts(y)), jnp.zeros(()))

    def encode(self, action: Int[Array, "choices"]) -> Float[Array, "action_size"]:
        """One-hots side by side."""
        chosen = zip(self.sizes, action, strict=True)
        return jnp.concatenate([Categorical(n).encode(a) for n, a in chosen])

    def admissible(self, action: Int[Array, "choices"]) -> Int[Array, "choices"]:
        """The choices themselves."""
        return action

    @property
    def no_action(self) -> Int[Array, "choices"]:
        """Zeros."""
        return jnp.stack([Categorical(n).no_action for n in self.sizes])


def _check_share(exploration: float) -> None:
    validation.require_static(exploration=exploration)
    validation.below_one(exploration=exploration)
