"""The initial eigenvalues of a linear recurrence, and the bound on their moduli."""

import abc
import math

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from rtrrl.types import Key
from rtrrl.utils import validation

Nu = Float[Array, "hidden"]

MAX_MODULUS = 0.9999
"""A memory of 10,000 steps. Without a bound, Adam drives |Λ| past 1 and the state overflows."""


class EigenvalueInitializer(validation.Settings):
    """A distribution of the initial moduli |Λ| = exp(−e^ν)."""

    @abc.abstractmethod
    def nu(self, key: Key, hidden_size: int) -> Nu:
        """ν of every unit, such that |Λ| ≤ `MAX_MODULUS`."""


class UniformRing(EigenvalueInitializer):
    """|Λ|² uniform in [r_min², r_max²] (Orvieto et al. 2023); the median time constant is 3 steps.

    **Raises** `SettingError` where 0 ≤ r_min < r_max ≤ 1 does not hold.
    """

    r_min: float = 0.0
    """The least |Λ|."""
    r_max: float = 1.0
    """The largest |Λ|."""

    def __check_init__(self) -> None:
        validation.obey(
            "obey 0 ≤ r_min < r_max ≤ 1",
            lambda low, high: (low >= 0) & (low < high) & (high <= 1),
            r_min=self.r_min,
            r_max=self.r_max,
        )

    def nu(self, key: Key, hidden_size: int) -> Nu:
        """ν = log(−½ log(u (r_max² − r_min²) + r_min²)), bounded."""
        u = jax.random.uniform(key, (hidden_size,), minval=1e-6)
        squared = u * (self.r_max**2 - self.r_min**2) + self.r_min**2
        return bounded(jnp.log(-0.5 * jnp.log(squared)))


class LogUniformTimescales(EigenvalueInitializer):
    """Time constants τ = −1/log|Λ| log-uniform from `shortest` to `longest` steps.

    Every order of magnitude gets equally many units, so that some units fit the memory of any task.

    **Raises** `SettingError` where 0 < shortest ≤ longest < ∞ does not hold.
    """

    shortest: float = 1.0
    """The shortest time constant, in steps."""
    longest: float = 1000.0
    """The longest time constant, in steps."""

    def __check_init__(self) -> None:
        validation.obey(
            "obey 0 < shortest ≤ longest < ∞",
            lambda low, high: (low > 0) & (low <= high) & (high < math.inf),
            shortest=self.shortest,
            longest=self.longest,
        )

    def nu(self, key: Key, hidden_size: int) -> Nu:
        """ν = −log τ, uniform, bounded."""
        low, high = -jnp.log(self.longest), -jnp.log(self.shortest)
        return bounded(jax.random.uniform(key, (hidden_size,), minval=low, maxval=high))


def bounded(nu: Nu) -> Nu:
    """The nearest ν with exp(−e^ν) ≤ `MAX_MODULUS`."""
    return jnp.maximum(nu, math.log(-math.log(MAX_MODULUS)))
