"""Policies over discrete actions."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from rtrrl.policies.base import Outputs, Policy
from rtrrl.types import Key, Scalar


class Categorical(Policy):
    """π(a | y) = softmax(y)ₐ."""

    actions: int = eqx.field(static=True)

    @property
    def outputs(self) -> int:
        """One logit per action."""
        return self.actions

    @property
    def action_size(self) -> int:
        """One-hot."""
        return self.actions

    def sample(self, key: Key, y: Outputs) -> Int[Array, ""]:
        """By the Gumbel trick."""
        return jax.random.categorical(key, y)

    def mode(self, y: Outputs) -> Int[Array, ""]:
        """The largest logit."""
        return jnp.argmax(y)

    def log_probability(self, y: Outputs, action: Int[Array, ""]) -> Scalar:
        """y_a − log Σ exp y."""
        return jax.nn.log_softmax(y) @ self.encode(action).astype(y.dtype)

    def entropy(self, y: Outputs) -> Scalar:
        """−Σ π log π."""
        log_pi = jax.nn.log_softmax(y)
        return -jnp.sum(jnp.exp(log_pi) * log_pi)

    def score(self, y: Outputs, action: Int[Array, ""]) -> Outputs:
        """onehot(a) − π: as its derivative, in fewer kernels."""
        return self.encode(action).astype(y.dtype) - jax.nn.softmax(y)

    def entropy_gradient(self, y: Outputs) -> Outputs:
        """−π (log π + H)."""
        log_pi = jax.nn.log_softmax(y)
        pi = jnp.exp(log_pi)
        return -pi * (log_pi - jnp.sum(pi * log_pi))

    def encode(self, action: Int[Array, ""]) -> Float[Array, "action_size"]:
        """One-hot."""
        return jax.nn.one_hot(action, self.actions)

    def admissible(self, action: Int[Array, ""]) -> Int[Array, ""]:
        """The action itself."""
        return action

    @property
    def no_action(self) -> Int[Array, ""]:
        """Zero."""
        return jnp.argmax(jnp.zeros(self.actions))  # 0, of the type that `sample` has


class Factored(Policy):
    """π(a | y) = Πᵢ softmax(yᵢ)_{aᵢ}: several discrete choices at once, independent given y."""

    sizes: tuple[int, ...] = eqx.field(static=True)

    @property
    def outputs(self) -> int:
        """One logit per choice and option."""
        return sum(self.sizes)

    @property
    def action_size(self) -> int:
        """One-hots side by side."""
        return sum(self.sizes)

    def _parts(self, y: Outputs) -> list[tuple[Categorical, Float[Array, "_"]]]:
        logits = jnp.split(y, np.cumsum(self.sizes)[:-1])
        return [(Categorical(n), part) for n, part in zip(self.sizes, logits, strict=True)]

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
