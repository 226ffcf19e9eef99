"""Noise processes of a Gaussian policy."""

import abc

from rtrrl.utils import validation
from rtrrl.utils.registry import Registry


class NoiseProcess(validation.Settings):
    """ξ' = ρ ξ + √(1 − ρ²) ε with ε ~ N(0, 1): the noise of an action, in units of σ."""

    @property
    @abc.abstractmethod
    def correlation(self) -> float:
        """ρ, the correlation of the noise of neighbouring steps."""


class WhiteNoise(NoiseProcess):
    """Independent noise at every step: ρ = 0."""

    @property
    def correlation(self) -> float:
        return 0.0


class AutoregressiveNoise(NoiseProcess):
    """Noise that is correlated in time (Korenkevych et al. 2019).

    White noise averages out before a mass has moved; correlated noise moves it further. An action
    is drawn from the distribution *given* the noise of the previous one, and its score is that of
    this distribution. The previous noise, ξ = (a − μ)/σ, counts as given, although μ and σ are
    learned: the sum of the scores is a semi-gradient of the episode's log-probability, up to
    1/(1 − ρ) times as large. An episode starts from ξ = 0, so that its first actions have less
    noise.

    **Raises** `SettingError` where `rho` does not lie in [0, 1).
    """

    rho: float = 0.9
    """ρ, the correlation of the noise of neighbouring steps."""

    def __check_init__(self) -> None:
        validation.below_one(rho=self.rho)

    @property
    def correlation(self) -> float:
        return self.rho


NOISES: Registry[NoiseProcess] = Registry(
    "noise", {"white": WhiteNoise, "autoregressive": AutoregressiveNoise}
)
