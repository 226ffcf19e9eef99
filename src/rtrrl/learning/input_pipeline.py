"""Normalisation of an environment's observations and rewards, and the exploration bonus."""

import equinox as eqx
from jaxtyping import Array, Float

from rtrrl.learning.exploration_bonus import ExplorationBonus, NoBonus
from rtrrl.learning.normalizers import (
    ObservationNormalizer,
    RawObservations,
    RawRewards,
    RewardNormalizer,
)
from rtrrl.types import PyTree, Scalar
from rtrrl.utils import validation

Vector = Float[Array, "size"]


class InputStatistics(eqx.Module):
    """The running statistics of an `InputPipeline`, one for each of its parts."""

    observations: PyTree
    rewards: PyTree
    bonus: PyTree


class Inputs(eqx.Module):
    """One step's inputs of an agent."""

    observation: Vector
    """The normalised observation."""
    reward: Scalar
    """The normalised reward, without the bonus."""
    bonus: Scalar
    """The exploration bonus of the observation."""


class InputPipeline(validation.Settings):
    """Normalisation of observations and rewards, and an exploration bonus."""

    observations: ObservationNormalizer = RawObservations()
    """Rescales observations."""
    rewards: RewardNormalizer = RawRewards()
    """Rescales rewards."""
    bonus: ExplorationBonus = NoBonus()
    """The bonus for rare observations."""

    def init(self, observation_size: int) -> InputStatistics:
        """The statistics before the first observation."""
        return InputStatistics(
            self.observations.init(observation_size),
            self.rewards.init(),
            self.bonus.init(observation_size),
        )

    def begin(self, stats: InputStatistics, observation: Vector) -> tuple[InputStatistics, Vector]:
        """The statistics at the start of an episode, and its normalised first observation."""
        stats = InputStatistics(
            self.observations.update(stats.observations, observation),
            self.rewards.restart(stats.rewards),
            self.bonus.update(stats.bonus, observation),
        )
        return stats, self.observations(stats.observations, observation)

    def step(
        self, stats: InputStatistics, observation: Vector, reward: Scalar
    ) -> tuple[InputStatistics, Inputs]:
        """The statistics with one more step, and what the agent learns from in that step."""
        stats = InputStatistics(
            self.observations.update(stats.observations, observation),
            self.rewards.update(stats.rewards, reward),
            self.bonus.update(stats.bonus, observation),
        )
        return stats, Inputs(
            self.observations(stats.observations, observation),
            self.rewards(stats.rewards, reward),
            self.bonus(stats.bonus, observation),
        )
