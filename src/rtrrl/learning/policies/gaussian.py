"""Gaussian policies over boxes."""

import abc
import dataclasses
import math

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from rtrrl.environments.spaces import Box
from rtrrl.learning.policies.base import Outputs, Policy
from rtrrl.learning.policies.noise import AutoregressiveNoise, Noise, WhiteNoise
from rtrrl.types import Key, Scalar
from rtrrl.utils import validation
from rtrrl.utils.registry import Registry

Dimensions = Float[Array, "dimensions"]


class Spread(eqx.Module):
    """What the width σ of a Gaussian depends on."""

    @abc.abstractmethod
    def num_constants(self, dimensions: int) -> int:
        """How many of the outputs that set σ depend on no feature."""


class StateSpread(Spread):
    """σ is read from the state, as the mean is."""

    def num_constants(self, dimensions: int) -> int:
        """None."""
        return 0


class GlobalSpread(Spread):
    """One σ per dimension for all states, learnt like any parameter."""

    def num_constants(self, dimensions: int) -> int:
        """All."""
        return dimensions


class Score(eqx.Module):
    """The direction in the outputs that makes an action more probable."""

    @abc.abstractmethod
    def __call__(
        self, policy: "Gaussian", y: Outputs, action: Dimensions, noise: Dimensions
    ) -> Outputs:
        """What the actor's trace is made of."""


class PlainScore(Score):
    """∇_y log π(a | y, noise)."""

    def __call__(
        self, policy: "Gaussian", y: Outputs, action: Dimensions, noise: Dimensions
    ) -> Outputs:
        """The gradient itself; it grows as 1/σ when the policy gets certain."""
        return jax.grad(policy.log_probability_after)(y, jax.lax.stop_gradient(action), noise)


class VarianceScaledScore(Score):
    """(σ/half)² ∇_y log π(a | y, noise), dimension by dimension: steps that shrink with σ.

    The scaling is no part of what is differentiated and does not touch the critic (the published
    `var_scaling` did both).
    """

    def __call__(
        self, policy: "Gaussian", y: Outputs, action: Dimensions, noise: Dimensions
    ) -> Outputs:
        """The gradient times the variance."""
        variance = policy.relative_deviation(y) ** 2
        return jnp.tile(variance, 2) * PlainScore()(policy, y, action, noise)


class Gaussian(Policy):
    """π(a | y) = N(μ, σ²) with y = [m, s], per action dimension.

        μ = centre + half · tanh(gain m) where the space is bounded, else gain m
        σ = half · exp(l + (1 − l) sigmoid(s + log −l)), l = log narrowest

    `half` is half the space's width, 1 where it is unbounded. σ lies between narrowest · half and
    e · half, and s = 0 is σ = half. Both bounds are smooth: a clipped parameter beyond its bound
    would get no gradient to come back by. The action is sampled unbounded, which keeps log π exact;
    the environment receives it clipped to the bounds.

    **Raises** `ValueError` where `narrowest` does not lie between 0 and 1, or `gain` is not
    positive, or either is not one number for all seeds.
    """

    low: tuple[float, ...] = eqx.field(static=True)
    high: tuple[float, ...] = eqx.field(static=True)
    spread: Spread = StateSpread()
    scoring: Score = PlainScore()
    noising: Noise = WhiteNoise()
    narrowest: float = eqx.field(static=True, default=math.exp(-5.0))
    """The least σ, in units of half: a policy without noise no longer learns."""
    gain: float = eqx.field(static=True, default=1.0)
    """How far an output moves the mean, in units of half. A softmax has decided when its outputs
    differ by several units, a mean is to be right within σ: where one step size serves both, a
    gain near the narrowest σ makes a step of the outputs mean as much to either."""

    def __check_init__(self) -> None:
        validation.static_positive(narrowest=self.narrowest, gain=self.gain)
        validation.below_one(narrowest=self.narrowest)

    def exploring(self) -> "Gaussian":
        """With noise that lasts, one width that never closes, and a mean that moves by its size."""
        return dataclasses.replace(
            self, spread=GlobalSpread(), noising=AutoregressiveNoise(), narrowest=0.2, gain=0.3
        )

    @property
    def action_space(self) -> Box:
        return Box((len(self.low),), self.low, self.high)

    @property
    def output_size(self) -> int:
        """A mean and a log σ per dimension."""
        return 2 * len(self.low)

    @property
    def num_constants(self) -> int:
        """The outputs s, if σ is the same in all states."""
        return self.spread.num_constants(len(self.low))

    @property
    def action_size(self) -> int:
        """The vector itself."""
        return len(self.low)

    def _bounded(self) -> np.ndarray:
        return np.isfinite(self.low) & np.isfinite(self.high)

    def _frame(self) -> tuple[np.ndarray, np.ndarray]:
        low, high = np.where(self._bounded(), (self.low, self.high), ((-1.0,), (1.0,)))
        return (low + high) / 2, (high - low) / 2

    def relative_deviation(self, y: Outputs) -> Dimensions:
        """σ / half."""
        _, s = jnp.split(y, 2)
        lowest = math.log(self.narrowest)
        return jnp.exp(lowest + (1 - lowest) * jax.nn.sigmoid(s + math.log(-lowest)))

    def _distribution(self, y: Outputs) -> tuple[Array, Array]:
        centre, half = (jnp.asarray(part, y.dtype) for part in self._frame())
        m, _ = jnp.split(y, 2)
        m = self.gain * m
        mean = jnp.where(self._bounded(), jnp.tanh(m), m)
        return centre + half * mean, half * self.relative_deviation(y)

    def _after(self, y: Outputs, noise: Dimensions) -> tuple[Array, Array]:
        """The distribution of the next action, given the noise of this one."""
        mean, sigma = self._distribution(y)
        rho = self.noising.correlation
        return mean + sigma * rho * noise, sigma * jnp.sqrt(1 - rho**2)

    def sample(self, key: Key, y: Outputs) -> Dimensions:
        """mean + σ ε."""
        mean, sigma = self._distribution(y)
        return jax.lax.stop_gradient(mean + sigma * jax.random.normal(key, mean.shape, y.dtype))

    @property
    def no_noise(self) -> Dimensions:
        """Zeros."""
        return jnp.zeros(len(self.low))

    def noise(self, y: Outputs, action: Dimensions) -> Dimensions:
        """ξ = (a − μ)/σ."""
        mean, sigma = self._distribution(y)
        return (action - mean) / sigma

    def sample_after(self, key: Key, y: Outputs, noise: Dimensions) -> Dimensions:
        """mean + σ (ρ ξ + √(1 − ρ²) ε)."""
        mean, sigma = self._after(y, noise)
        return jax.lax.stop_gradient(mean + sigma * jax.random.normal(key, mean.shape, y.dtype))

    def mode(self, y: Outputs) -> Dimensions:
        """The mean."""
        return self._distribution(y)[0]

    def log_probability(self, y: Outputs, action: Dimensions) -> Scalar:
        """Σ −½((a − μ)/σ)² − log σ − ½ log 2π."""
        return jnp.sum(jax.scipy.stats.norm.logpdf(action, *self._distribution(y)))

    def log_probability_after(self, y: Outputs, action: Dimensions, noise: Dimensions) -> Scalar:
        """That of the mean μ + σ ρ ξ and the deviation σ √(1 − ρ²)."""
        return jnp.sum(jax.scipy.stats.norm.logpdf(action, *self._after(y, noise)))

    def entropy(self, y: Outputs) -> Scalar:
        """Σ log σ + ½ log 2πe."""
        _, sigma = self._distribution(y)
        return jnp.sum(jnp.log(sigma) + 0.5 * np.log(2 * np.pi * np.e))

    def score(self, y: Outputs, action: Dimensions) -> Outputs:
        """By `scoring`, of an action that was drawn without regard to the one before."""
        return dataclasses.replace(self, noising=WhiteNoise()).score_after(y, action, self.no_noise)

    def score_after(self, y: Outputs, action: Dimensions, noise: Dimensions) -> Outputs:
        """By `scoring`."""
        return self.scoring(self, y, action, noise)

    def encode(self, action: Dimensions) -> Float[Array, "action_size"]:
        """The admissible action in units of the space's half width."""
        centre, half = self._frame()
        return (self.admissible(action) - centre) / half

    def admissible(self, action: Dimensions) -> Dimensions:
        """Clipped to the bounds."""
        return jnp.clip(action, jnp.array(self.low), jnp.array(self.high))

    @property
    def no_action(self) -> Dimensions:
        """The middle of the space."""
        return jnp.asarray(self._frame()[0], jnp.zeros(0).dtype)


SPREADS: Registry[Spread] = Registry("spread", {"state": StateSpread, "global": GlobalSpread})
SCORES: Registry[Score] = Registry(
    "score", {"plain": PlainScore, "variance-scaled": VarianceScaledScore}
)
"""Both by the names that the command line knows."""
