"""Distributions over actions, as functions of the actor's outputs."""

import abc
import math
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, Shaped

from rtrrl.environments.spaces import Box, Discrete
from rtrrl.errors import UnsupportedSpaceError
from rtrrl.types import Key, Scalar

Outputs = Float[Array, "outputs"]
Action = Shaped[Array, "..."]


class Policy(eqx.Module):
    """A family of distributions π(a | y) with parameters y, the actor's outputs."""

    @property
    @abc.abstractmethod
    def outputs(self) -> int:
        """How many numbers parametrise the distribution."""

    @property
    @abc.abstractmethod
    def action_size(self) -> int:
        """The length of `encode(action)`."""

    @abc.abstractmethod
    def sample(self, key: Key, y: Outputs) -> Action:
        """a ~ π(· | y). The draw carries no gradient."""

    @abc.abstractmethod
    def mode(self, y: Outputs) -> Action:
        """The most probable action."""

    @abc.abstractmethod
    def log_probability(self, y: Outputs, action: Action) -> Scalar:
        """log π(a | y)."""

    @abc.abstractmethod
    def entropy(self, y: Outputs) -> Scalar:
        """H(π(· | y)) in nats."""

    @abc.abstractmethod
    def encode(self, action: Action) -> Float[Array, "action_size"]:
        """The action as the network reads it at the next step."""

    @abc.abstractmethod
    def admissible(self, action: Action) -> Action:
        """The action as the environment receives it."""

    @property
    @abc.abstractmethod
    def no_action(self) -> Action:
        """A placeholder of the action's type, for before the first one."""

    def score(self, y: Outputs, action: Action) -> Outputs:
        """∇_y log π(a | y)."""
        return jax.grad(self.log_probability)(y, jax.lax.stop_gradient(action))

    def entropy_gradient(self, y: Outputs) -> Outputs:
        """∇_y H(π(· | y))."""
        return jax.grad(self.entropy)(y)


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


class Gaussian(Policy):
    """π(a | y) = N(μ, σ²) with y = [m, s], per action dimension.

        μ = centre + half · tanh m where the space is bounded, else m
        σ = half · exp(−5 + 6 sigmoid(s + log 5)), so that s = 0 is σ = half

    `half` is half the space's width, 1 where it is unbounded. Both bounds are smooth: a clipped
    parameter beyond its bound would get no gradient to come back by. The action is sampled
    unbounded, which keeps log π exact; the environment receives it clipped to the bounds.
    """

    low: tuple[float, ...] = eqx.field(static=True)
    high: tuple[float, ...] = eqx.field(static=True)

    @property
    def outputs(self) -> int:
        """A mean and a log σ per dimension."""
        return 2 * len(self.low)

    @property
    def action_size(self) -> int:
        """The vector itself."""
        return len(self.low)

    def _bounded(self) -> np.ndarray:
        return np.isfinite(self.low) & np.isfinite(self.high)

    def _frame(self) -> tuple[np.ndarray, np.ndarray]:
        low, high = np.where(self._bounded(), (self.low, self.high), ((-1.0,), (1.0,)))
        return (low + high) / 2, (high - low) / 2

    def _distribution(self, y: Outputs) -> tuple[Array, Array]:
        centre, half = (jnp.asarray(part, y.dtype) for part in self._frame())
        m, s = jnp.split(y, 2)
        mean = jnp.where(self._bounded(), jnp.tanh(m), m)
        log_sigma = -5.0 + 6.0 * jax.nn.sigmoid(s + math.log(5.0))
        return centre + half * mean, half * jnp.exp(log_sigma)

    def sample(self, key: Key, y: Outputs) -> Float[Array, "dimensions"]:
        """mean + σ ε."""
        mean, sigma = self._distribution(y)
        return jax.lax.stop_gradient(mean + sigma * jax.random.normal(key, mean.shape, y.dtype))

    def mode(self, y: Outputs) -> Float[Array, "dimensions"]:
        """The mean."""
        return self._distribution(y)[0]

    def log_probability(self, y: Outputs, action: Float[Array, "dimensions"]) -> Scalar:
        """Σ −½((a − μ)/σ)² − log σ − ½ log 2π."""
        mean, sigma = self._distribution(y)
        return jnp.sum(jax.scipy.stats.norm.logpdf(action, mean, sigma))

    def entropy(self, y: Outputs) -> Scalar:
        """Σ log σ + ½ log 2πe."""
        _, sigma = self._distribution(y)
        return jnp.sum(jnp.log(sigma) + 0.5 * np.log(2 * np.pi * np.e))

    def encode(self, action: Float[Array, "dimensions"]) -> Float[Array, "action_size"]:
        """The admissible action in units of the space's half width."""
        centre, half = self._frame()
        return (self.admissible(action) - centre) / half

    def admissible(self, action: Float[Array, "dimensions"]) -> Float[Array, "dimensions"]:
        """Clipped to the bounds."""
        return jnp.clip(action, jnp.array(self.low), jnp.array(self.high))

    @property
    def no_action(self) -> Float[Array, "dimensions"]:
        """The middle of the space."""
        return jnp.asarray(self._frame()[0], jnp.zeros(0).dtype)


def policy_for(space: Any) -> Policy:
    """The natural policy for an action space.

    **Raises** `UnsupportedSpaceError` for a space that is neither `Discrete` nor a flat `Box`.
    """
    match space:
        case Discrete(n):
            return Categorical(n)
        case Box(shape=(_,), low=low, high=high):
            return Gaussian(low, high)
    raise UnsupportedSpaceError(
        f"the action space {space} is not supported: expected Discrete or a flat Box"
    )
