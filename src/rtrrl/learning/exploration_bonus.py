"""Exploration bonuses: rewards that an agent adds for rare observations."""

import abc

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float

from rtrrl.learning.normalizers import Moments
from rtrrl.types import PyTree, Scalar
from rtrrl.utils import validation
from rtrrl.utils.registry import Registry

Vector = Float[Array, "size"]


class ExplorationBonus(validation.Settings):
    """A reward of the agent's own, in units of the normalised reward."""

    @abc.abstractmethod
    def init(self, size: int) -> PyTree:
        """The statistics before the first observation."""

    @abc.abstractmethod
    def update(self, statistics: PyTree, observation: Vector) -> PyTree:
        """The statistics with one more observation."""

    @abc.abstractmethod
    def __call__(self, statistics: PyTree, observation: Vector) -> Scalar:
        """The bonus of an observation, which `statistics` already include."""


class NoBonus(ExplorationBonus):
    """The bonus is 0."""

    def init(self, size: int) -> None:
        return None

    def update(self, statistics: None, observation: Vector) -> None:
        return None

    def __call__(self, statistics: None, observation: Vector) -> Scalar:
        return jnp.zeros(())


class NoveltyStatistics(eqx.Module):
    """Moments of all observations, and a running mean of their novelty."""

    moments: Moments
    mean_novelty: Scalar
    """b̄, the running mean of b."""


class Novelty(ExplorationBonus):
    """β (b − b̄), b = Σⱼ (oⱼ − ōⱼ)² / (1 + Sⱼ): a bonus for rare observations that fades.

    ō is the mean of all observations so far, S the sum of squared deviations from it, b̄ a running
    mean of b over about the last `1 / forgetting` steps, from 0 on. For one-hot observations b is
    1/(1 + N) of a state visited N times, the bonus of count-based exploration (Kolter & Ng 2009);
    otherwise it is the diagonal form of the elliptical bonus (Henaff et al. 2022), without its
    square root. It uses observations before normalisation, and fades as 1/t where they vary by
    much more than 1/t. As b̄ is subtracted, the bonus hardly depends on the length of episodes,
    except in the first `1 / forgetting` steps.

    **Raises** `SettingError` where `forgetting` does not lie in [0, 1] or `scale` is not finite.
    """

    scale: float = 30.0
    """β, the scale of the bonus, in units of the normalised reward."""
    forgetting: float = 1e-3
    """The rate at which the running mean of the novelty forgets."""

    def __check_init__(self) -> None:
        validation.in_unit_interval(forgetting=self.forgetting)
        validation.finite(scale=self.scale)

    def init(self, size: int) -> NoveltyStatistics:
        return NoveltyStatistics(Moments.zeros((size,)), jnp.zeros(()))

    def update(self, statistics: NoveltyStatistics, observation: Vector) -> NoveltyStatistics:
        moments = statistics.moments.add(observation)
        difference = _novelty(moments, observation) - statistics.mean_novelty
        return NoveltyStatistics(moments, statistics.mean_novelty + self.forgetting * difference)

    def __call__(self, statistics: NoveltyStatistics, observation: Vector) -> Scalar:
        return self.scale * (_novelty(statistics.moments, observation) - statistics.mean_novelty)


def _novelty(moments: Moments, observation: Vector) -> Scalar:
    return jnp.sum((observation - moments.mean) ** 2 / (1 + moments.squares))


BONUSES: Registry[ExplorationBonus] = Registry("bonus", {"none": NoBonus, "novelty": Novelty})
