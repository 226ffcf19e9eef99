"""How the noise of a Gaussian policy goes on from one step to the next."""

import abc

import equinox as eqx

from rtrrl.utils import validation
from rtrrl.utils.registry import Registry


class Noise(eqx.Module):
    """ξ' = ρ ξ + √(1 − ρ²) ε: the noise of an action, in units of σ."""

    @property
    @abc.abstractmethod
    def correlation(self) -> float:
        """ρ, between the noise of neighbouring steps."""


class WhiteNoise(Noise):
    """Every step draws anew: ρ = 0."""

    @property
    def correlation(self) -> float:
        """None."""
        return 0.0


class AutoregressiveNoise(Noise):
    """Noise that lasts (Korenkevych et al. 2019): a body that is pushed to and fro stays put.

    White noise averages out before a mass has moved; lasting noise explores where it can go. An
    action is drawn *given* the noise of the one before, and its score is that of this draw. The
    noise before, ξ = (a − μ)/σ, counts as given, although μ and σ are learnt: the sum of the scores
    is a semi-gradient of the episode's log-probability, up to 1/(1 − ρ) times as large. An episode
    starts without noise, so that its first draws are the quieter ones.

    **Raises** `ValueError` where `rho` does not lie in [0, 1).
    """

    rho: float = 0.9
    """ρ."""

    def __check_init__(self) -> None:
        validation.below_one(rho=self.rho)

    @property
    def correlation(self) -> float:
        """ρ."""
        return self.rho


NOISES: Registry[Noise] = Registry(
    "noise", {"white": WhiteNoise, "autoregressive": AutoregressiveNoise}
)
"""By the names that the command line knows."""
