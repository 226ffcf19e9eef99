"""Normalisation of observations and rewards by running statistics."""

import abc

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float

from rtrrl.types import PyTree, Scalar
from rtrrl.utils import validation
from rtrrl.utils.registry import Registry

Vector = Float[Array, "size"]

HORIZON = 2.0**22
"""The largest count of running moments, in steps."""


class Moments(eqx.Module):
    """Count, mean and sum of squared deviations (Welford 1962).

    The count stops at `HORIZON`, and from there on the moments forget at the rate 1 / `HORIZON`:
    float32 cannot count beyond 2²⁴, and the sum would go on growing without its count.
    """

    count: Scalar
    mean: Float[Array, "..."]
    squares: Float[Array, "..."]
    """Σ (x − mean)²."""

    @classmethod
    def zeros(cls, shape: tuple[int, ...]) -> "Moments":
        """The moments of no values."""
        return cls(jnp.zeros(()), jnp.zeros(shape), jnp.zeros(shape))

    def add(self, value: Float[Array, "..."]) -> "Moments":
        """The moments with one more value."""
        count = jnp.minimum(self.count + 1, HORIZON)
        kept = jnp.where(self.count < HORIZON, 1.0, 1 - 1 / HORIZON)
        difference = value - self.mean
        mean = self.mean + difference / count
        return Moments(count, mean, kept * self.squares + difference * (value - mean))

    @property
    def variance(self) -> Float[Array, "..."]:
        """The sample variance; 1 for fewer than two values."""
        return jnp.where(self.count > 1, self.squares / jnp.maximum(self.count - 1, 1), 1.0)


class ObservationNormalizer(validation.Settings):
    """Rescales observations by statistics of the observations so far."""

    @abc.abstractmethod
    def init(self, size: int) -> PyTree:
        """The statistics before the first observation."""

    @abc.abstractmethod
    def update(self, statistics: PyTree, observation: Vector) -> PyTree:
        """The statistics with one more observation."""

    @abc.abstractmethod
    def __call__(self, statistics: PyTree, observation: Vector) -> Vector:
        """The rescaled observation."""


class RawObservations(ObservationNormalizer):
    """Observations as the environment gives them, without statistics."""

    def init(self, size: int) -> None:
        return None

    def update(self, statistics: None, observation: Vector) -> None:
        return None

    def __call__(self, statistics: None, observation: Vector) -> Vector:
        return observation


class RunningObservations(ObservationNormalizer):
    """(o − mean) / √(variance + ε) by Welford's running moments.

    **Raises** `SettingError` where ε is not positive.
    """

    epsilon: float = 1e-8
    """ε, added to the variance."""

    def __check_init__(self) -> None:
        validation.positive(epsilon=self.epsilon)

    def init(self, size: int) -> Moments:
        return Moments.zeros((size,))

    def update(self, statistics: Moments, observation: Vector) -> Moments:
        return statistics.add(observation)

    def __call__(self, statistics: Moments, observation: Vector) -> Vector:
        return (observation - statistics.mean) / jnp.sqrt(statistics.variance + self.epsilon)


class AmplifiedObservations(RunningObservations):
    """(o − mean) / min(1, √(variance + ε)): entries of small variance are scaled up to variance 1.

    Small differences, such as a joint's angle, are learned from as fast as large ones. An entry
    whose variance is above 1 keeps its size, since a network learns faster from it than from a
    shrunk copy. The default ε bounds the gain at 100.
    """

    epsilon: float = 1e-4
    """ε, added to the variance; the gain is at most 1/√ε."""

    def __call__(self, statistics: Moments, observation: Vector) -> Vector:
        deviation = jnp.sqrt(statistics.variance + self.epsilon)
        return (observation - statistics.mean) / jnp.minimum(1.0, deviation)


class RewardNormalizer(validation.Settings):
    """Rescales rewards by statistics of the rewards so far."""

    @abc.abstractmethod
    def init(self) -> PyTree:
        """The statistics before the first reward."""

    @abc.abstractmethod
    def restart(self, statistics: PyTree) -> PyTree:
        """The statistics at the start of the next episode."""

    @abc.abstractmethod
    def update(self, statistics: PyTree, reward: Scalar) -> PyTree:
        """The statistics with one more reward."""

    @abc.abstractmethod
    def __call__(self, statistics: PyTree, reward: Scalar) -> Scalar:
        """The rescaled reward."""


class RawRewards(RewardNormalizer):
    """Rewards as the environment gives them, without statistics."""

    def init(self) -> None:
        return None

    def restart(self, statistics: None) -> None:
        return None

    def update(self, statistics: None, reward: Scalar) -> None:
        return None

    def __call__(self, statistics: None, reward: Scalar) -> Scalar:
        return reward


class DiscountedSum(eqx.Module):
    """The running discounted sum u of an episode's rewards, and its mean square over all steps."""

    u: Scalar
    count: Scalar
    mean_square: Scalar


class ReturnScaledRewards(RewardNormalizer):
    """r / √(E[u²] + ε) with u ← decay · u + r from the episode's start (after Elsayed et al. 2024).

    Elsayed et al. divide by the standard deviation of u, which vanishes where the return hardly
    varies, as in a solved task: rescaled rewards would grow without bound. The root mean square
    does not vanish. Rewards are never centred: their sign has a meaning. The decay is separate from
    the agent's γ, so that the average-reward form (γ = 1) has a scale too.

    **Raises** `SettingError` where the decay does not lie in [0, 1], or ε is not positive.
    """

    decay: float = 0.99
    """The discount of the running sum u of rewards."""
    epsilon: float = 1e-8
    """ε, added to the mean square of u."""

    def __check_init__(self) -> None:
        validation.in_unit_interval(decay=self.decay)
        validation.positive(epsilon=self.epsilon)

    def init(self) -> DiscountedSum:
        """The scale is 1 before the first reward."""
        return DiscountedSum(jnp.zeros(()), jnp.zeros(()), jnp.ones(()))

    def restart(self, statistics: DiscountedSum) -> DiscountedSum:
        """u ← 0; its mean square is kept."""
        return DiscountedSum(jnp.zeros(()), statistics.count, statistics.mean_square)

    def update(self, statistics: DiscountedSum, reward: Scalar) -> DiscountedSum:
        u = self.decay * statistics.u + reward
        count = statistics.count + 1
        mean_square = statistics.mean_square + (u**2 - statistics.mean_square) / count
        return DiscountedSum(u, count, mean_square)

    def __call__(self, statistics: DiscountedSum, reward: Scalar) -> Scalar:
        return reward / jnp.sqrt(statistics.mean_square + self.epsilon)


OBSERVATION_NORMALIZERS: Registry[ObservationNormalizer] = Registry(
    "observations",
    {
        "raw": RawObservations,
        "normalized": RunningObservations,
        "amplified": AmplifiedObservations,
    },
)
REWARD_NORMALIZERS: Registry[RewardNormalizer] = Registry(
    "rewards",
    {
        "raw": RawRewards,
        "scaled": ReturnScaledRewards,
    },
)
