"""How the noise of a Gaussian policy goes on from one step to the next."""

import abc

import equinox as eqx


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
    action is drawn *given* the noise of the one before, and its score is that of this draw, so
    that nothing about the policy gradient becomes approximate.

    **Raises** `ValueError` where `rho` does not lie in [0, 1).
    """

    rho: float = 0.9
    """ρ."""

    def __check_init__(self) -> None:
        if isinstance(self.rho, int | float) and not 0 <= self.rho < 1:
            raise ValueError(f"rho is {self.rho}: a correlation of noise lies in [0, 1)")

    @property
    def correlation(self) -> float:
        """ρ."""
        return self.rho


NOISES: dict[str, Noise] = {"white": WhiteNoise(), "autoregressive": AutoregressiveNoise()}
"""By the names that the command line knows."""
