"""Running statistics of one stream."""

import abc

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float

from rtrrl.types import PyTree, Scalar
from rtrrl.utils import validation
from rtrrl.utils.registry import Registry

Vector = Float[Array, "size"]

HORIZON = 2.0**22
"""Of running moments, in steps."""


class ObservationNormalizer(eqx.Module):
    """Rescales observations by what has been seen."""

    @abc.abstractmethod
    def init(self, size: int) -> PyTree:
        """The statistics before the first observation."""

    @abc.abstractmethod
    def update(self, statistics: PyTree, observation: Vector) -> PyTree:
        """The statistics with one more observation."""

    @abc.abstractmethod
    def __call__(self, statistics: PyTree, observation: Vector) -> Vector:
        """The observation rescaled."""


class RawObservations(ObservationNormalizer):
    """Observations as they come."""

    def init(self, size: int) -> None:
        """No statistics."""

    def update(self, statistics: None, observation: Vector) -> None:
        """No statistics."""

    def __call__(self, statistics: None, observation: Vector) -> Vector:
        """The observation."""
        return observation


class Moments(eqx.Module):
    """Count, mean and sum of squared deviations (Welford 1962).

    A count stops at `HORIZON`, from where on the moments forget what is that long ago: float32
    cannot count to its double, and the sum would go on growing without its count.
    """

    count: Scalar
    mean: Float[Array, "..."]
    squares: Float[Array, "..."]

    @classmethod
    def zeros(cls, shape: tuple[int, ...]) -> "Moments":
        """Nothing seen."""
        return cls(jnp.zeros(()), jnp.zeros(shape), jnp.zeros(shape))

    def including(self, value: Float[Array, "..."]) -> "Moments":
        """With one more value."""
        count = jnp.minimum(self.count + 1, HORIZON)
        kept = jnp.where(self.count < HORIZON, 1.0, 1 - 1 / HORIZON)
        ahead = value - self.mean
        mean = self.mean + ahead / count
        return Moments(count, mean, kept * self.squares + ahead * (value - mean))

    @property
    def variance(self) -> Float[Array, "..."]:
        """The sample variance; 1 until two values are seen."""
        return jnp.where(self.count > 1, self.squares / jnp.maximum(self.count - 1, 1), 1.0)


class RunningObservations(ObservationNormalizer):
    """(o − mean) / √(variance + ε) by Welford's running moments.

    **Raises** `ValueError` where ε is not positive.
    """

    epsilon: float = 1e-8

    def __check_init__(self) -> None:
        validation.positive(epsilon=self.epsilon)

    def init(self, size: int) -> Moments:
        """Nothing seen."""
        return Moments.zeros((size,))

    def update(self, statistics: Moments, observation: Vector) -> Moments:
        """One more."""
        return statistics.including(observation)

    def __call__(self, statistics: Moments, observation: Vector) -> Vector:
        """Centred and scaled."""
        return (observation - statistics.mean) / jnp.sqrt(statistics.variance + self.epsilon)


class AmplifiedObservations(RunningObservations):
    """(o − mean) / min(1, √(variance + ε)): what varies little is made to vary by 1.

    Small differences, such as a joint's angle, are learnt from as fast as large ones; what varies
    by more than 1 keeps its size, since a network learns faster from it than from a shrunk copy.
    ε bounds the gain at 100.
    """

    epsilon: float = 1e-4

    def __call__(self, statistics: Moments, observation: Vector) -> Vector:
        """Centred, and scaled up."""
        deviation = jnp.sqrt(statistics.variance + self.epsilon)
        return (observation - statistics.mean) / jnp.minimum(1.0, deviation)


class RewardNormalizer(eqx.Module):
    """Rescales rewards by what has been seen."""

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
        """The reward rescaled."""


class RawRewards(RewardNormalizer):
    """Rewards as they come."""

    def init(self) -> None:
        """No statistics."""

    def restart(self, statistics: None) -> None:
        """No statistics."""

    def update(self, statistics: None, reward: Scalar) -> None:
        """No statistics."""

    def __call__(self, statistics: None, reward: Scalar) -> Scalar:
        """The reward."""
        return reward


class DiscountedSum(eqx.Module):
    """The running discounted sum of an episode's rewards, and its mean square over all time."""

    u: Scalar
    count: Scalar
    mean_square: Scalar


class ReturnScaledRewards(RewardNormalizer):
    """r / √(E[u²] + ε) with u ← decay · u + r from the episode's start (after Elsayed et al. 2024).

    They divide by the standard deviation. A return that hardly varies, as a solved task's, has
    none, and the unit of reward would grow without end; the root mean square has a floor. The
    decay is the normalizer's own, so that the average-reward form (γ = 1) has a scale too.

    **Raises** `ValueError` where the decay does not lie in [0, 1], or ε is not positive.
    """

    decay: float = 0.99
    epsilon: float = 1e-8

    def __check_init__(self) -> None:
        validation.in_unit_interval(decay=self.decay)
        validation.positive(epsilon=self.epsilon)

    def init(self) -> DiscountedSum:
        """Nothing seen: the scale is 1."""
        return DiscountedSum(jnp.zeros(()), jnp.zeros(()), jnp.ones(()))

    def restart(self, statistics: DiscountedSum) -> DiscountedSum:
        """The sum starts anew, its mean square goes on."""
        return DiscountedSum(jnp.zeros(()), statistics.count, statistics.mean_square)

    def update(self, statistics: DiscountedSum, reward: Scalar) -> DiscountedSum:
        """One more."""
        u = self.decay * statistics.u + reward
        count = statistics.count + 1
        mean_square = statistics.mean_square + (u**2 - statistics.mean_square) / count
        return DiscountedSum(u, count, mean_square)

    def __call__(self, statistics: DiscountedSum, reward: Scalar) -> Scalar:
        """Scaled, never centred: the sign of a reward is its meaning."""
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
"""Both by the names that the command line knows."""
