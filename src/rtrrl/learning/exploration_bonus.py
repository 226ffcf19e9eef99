"""Rewards that an agent gives itself, so that it looks for what it has not seen."""

import abc

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float

from rtrrl.learning.normalizers import Moments
from rtrrl.types import PyTree, Scalar
from rtrrl.utils import validation
from rtrrl.utils.registry import Registry

Vector = Float[Array, "size"]


class ExplorationBonus(eqx.Module):
    """What is added to the world's reward, in units of the normalised reward."""

    @abc.abstractmethod
    def init(self, size: int) -> PyTree:
        """The statistics before the first observation."""

    @abc.abstractmethod
    def update(self, statistics: PyTree, observation: Vector) -> PyTree:
        """The statistics with one more observation."""

    @abc.abstractmethod
    def __call__(self, statistics: PyTree, observation: Vector) -> Scalar:
        """The reward of an observation that the statistics already hold."""


class NoBonus(ExplorationBonus):
    """The world's reward is all there is."""

    def init(self, size: int) -> None:
        """No statistics."""

    def update(self, statistics: None, observation: Vector) -> None:
        """No statistics."""

    def __call__(self, statistics: None, observation: Vector) -> Scalar:
        """0."""
        return jnp.zeros(())


class NoveltyStatistics(eqx.Module):
    """All observations so far, and how novel they were of late."""

    moments: Moments
    usual: Scalar
    """b̄, the running mean of b."""


class Novelty(ExplorationBonus):
    """β (b − b̄), b = Σⱼ (oⱼ − ōⱼ)² / (1 + Sⱼ): what is rarely seen is sought, less and less.

    ō is the mean of all observations so far, S the sum of squared deviations from it, b̄ a running
    mean of b over about the last `1 / forgetting` steps, from 0 on. Where observations name states
    one by one, b is 1/(1 + N) of a state met N times, as the bonus of count-based exploration is
    (Kolter & Ng 2009); elsewhere it is the diagonal form of the elliptical bonus (Henaff et al.
    2022), unrooted. It reads observations as they come, and fades as 1/t wherever they vary by much
    more than 1/t, so that it does not outlast its use. Less b̄ it hardly pays for going on or for
    ending; to live is paid for in the first `1 / forgetting` steps alone.

    **Raises** `ValueError` where `forgetting` does not lie in [0, 1] or `scale` is not finite.
    """

    scale: float = 30.0
    """β, in units of the normalised reward."""
    forgetting: float = 1e-3

    def __check_init__(self) -> None:
        validation.in_unit_interval(forgetting=self.forgetting)
        validation.finite(scale=self.scale)

    def init(self, size: int) -> NoveltyStatistics:
        """Nothing seen."""
        return NoveltyStatistics(Moments.zeros((size,)), jnp.zeros(()))

    def update(self, statistics: NoveltyStatistics, observation: Vector) -> NoveltyStatistics:
        """One more."""
        moments = statistics.moments.including(observation)
        ahead = _novelty(moments, observation) - statistics.usual
        return NoveltyStatistics(moments, statistics.usual + self.forgetting * ahead)

    def __call__(self, statistics: NoveltyStatistics, observation: Vector) -> Scalar:
        """β (b − b̄)."""
        return self.scale * (_novelty(statistics.moments, observation) - statistics.usual)


def _novelty(moments: Moments, observation: Vector) -> Scalar:
    return jnp.sum((observation - moments.mean) ** 2 / (1 + moments.squares))


BONUSES: Registry[ExplorationBonus] = Registry(
    "bonus",
    {
        "none": NoBonus,
        "novelty": Novelty,
    },
)
"""By the names that the command line knows."""
