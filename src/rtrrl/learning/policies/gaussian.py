"""Gaussian policies over boxes."""

import abc
import dataclasses
import math

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

from rtrrl.environments.spaces import Box
from rtrrl.learning.policies.base import Outputs, Policy
from rtrrl.learning.policies.noise import AutoregressiveNoise, NoiseProcess, WhiteNoise
from rtrrl.types import Key, Scalar
from rtrrl.utils import validation
from rtrrl.utils.registry import Registry

Dimensions = Float[Array, "dimensions"]

NARROWEST = 1e-15
"""The width up to which a dimension is constant."""


class Spread(validation.Settings):
    """The parametrisation of a Gaussian's σ."""

    @abc.abstractmethod
    def num_constants(self, dimensions: int) -> int:
        """The number of outputs for σ that depend on no feature."""


class StateSpread(Spread):
    """σ is a function of the features, as the mean is."""

    def num_constants(self, dimensions: int) -> int:
        return 0


class GlobalSpread(Spread):
    """One learned σ per dimension, the same in all states."""

    def num_constants(self, dimensions: int) -> int:
        return dimensions


class ScoreEstimator(validation.Settings):
    """The direction in the outputs that increases an action's log-probability."""

    @abc.abstractmethod
    def __call__(
        self, policy: "Gaussian", y: Outputs, action: Dimensions, noise: Dimensions
    ) -> Outputs:
        """The score of an action, given the noise of the previous one."""


class PlainScore(ScoreEstimator):
    """∇_y log π(a | y, noise), which grows as 1/σ where σ → 0."""

    def __call__(
        self, policy: "Gaussian", y: Outputs, action: Dimensions, noise: Dimensions
    ) -> Outputs:
        return jax.grad(policy.log_probability_after)(y, jax.lax.stop_gradient(action), noise)


class VarianceScaledScore(ScoreEstimator):
    """(σ/half)² ∇_y log π(a | y, noise), dimension by dimension: steps that shrink with σ.

    The scaling is not differentiated and does not change the critic (in the published
    `var_scaling` both were the case).
    """

    def __call__(
        self, policy: "Gaussian", y: Outputs, action: Dimensions, noise: Dimensions
    ) -> Outputs:
        variance = policy.relative_deviation(y) ** 2
        return jnp.tile(variance, 2) * PlainScore()(policy, y, action, noise)


class Gaussian(Policy):
    """π(a | y) = N(μ, σ²) with y = [m, s], per action dimension.

        μ = centre + half · f(gain m)
        σ = half · exp(l + (1 − l) sigmoid(s + log −l)), l = log narrowest

    | bounds | centre | half | f(x) |
    |---|---|---|---|
    | low and high | (low + high)/2 | (high − low)/2 | tanh x |
    | low | low + 1 | 1 | x where x > 0, else eˣ − 1 |
    | high | high − 1 | 1 | x where x < 0, else 1 − e⁻ˣ |
    | none | 0 | 1 | x |

    σ lies between narrowest · half and e · half, and s = 0 is σ = half. μ and σ are smooth, as a
    clipped parameter would have no gradient beyond its bound. The action is sampled unbounded,
    which keeps log π exact, and clipped to the bounds for the environment.

    A dimension without width, narrower than `NARROWEST`, is constant: log π and H do not count it.
    Bounds of ±1e10 and beyond are none (`Box.bounded`).

    **Raises** `SettingError` where `narrowest` does not lie between 0 and 1, or `gain` is not
    positive, or either is not one number for all seeds; `UnsupportedSpaceError` where the bounds
    are not those of a `Box`.
    """

    low: tuple[float, ...] = eqx.field(static=True)
    """The lower bounds of the action, -inf where there is none."""
    high: tuple[float, ...] = eqx.field(static=True)
    """The upper bounds of the action, inf where there is none."""
    spread: Spread = StateSpread()
    """What σ depends on: the state, or nothing."""
    score_estimator: ScoreEstimator = PlainScore()
    """The policy gradient, plain or scaled by the variance."""
    noise_process: NoiseProcess = WhiteNoise()
    """The correlation of the noise in time."""
    narrowest: float = eqx.field(static=True, default=math.exp(-5.0))
    """The least σ, in units of `half`."""
    gain: float = eqx.field(static=True, default=1.0)
    """The change of the mean per unit of output, in units of `half`."""

    def __check_init__(self) -> None:
        validation.static_positive(narrowest=self.narrowest, gain=self.gain)
        validation.below_one(narrowest=self.narrowest)
        _ = self.action_space  # which checks the bounds

    def with_exploration(self) -> "Gaussian":
        """With correlated noise, one σ of at least 0.2 · half for all states, and gain 0.3.

        A softmax is deterministic when its outputs differ by several units; a mean has to be right
        within σ. A gain near the least σ makes one step size fit both kinds of policy.
        """
        return dataclasses.replace(
            self,
            spread=GlobalSpread(),
            noise_process=AutoregressiveNoise(),
            narrowest=0.2,
            gain=0.3,
        )

    @property
    def action_space(self) -> Box:
        return Box((len(self.low),), self.low, self.high)

    @property
    def output_size(self) -> int:
        """m and s of each dimension."""
        return 2 * len(self.low)

    @property
    def num_constants(self) -> int:
        return self.spread.num_constants(len(self.low))

    @property
    def action_size(self) -> int:
        return len(self.low)

    def _free(self) -> Bool[np.ndarray, " dimensions"]:
        """The dimensions that are not constant."""
        low, high = self.action_space.frame
        return high - low > NARROWEST

    def _frame(self) -> tuple[np.ndarray, np.ndarray]:
        low, high = self.action_space.frame
        return (low + high) / 2, np.where(self._free(), (high - low) / 2, 1.0)

    def _sum(self, terms: Dimensions) -> Scalar:
        free = self._free()
        return jnp.sum(terms, where=None if free.all() else free)

    def relative_deviation(self, y: Outputs) -> Dimensions:
        """σ / half."""
        _, s = jnp.split(y, 2)
        lowest = math.log(self.narrowest)
        return jnp.exp(lowest + (1 - lowest) * jax.nn.sigmoid(s + math.log(-lowest)))

    def _relative(self, y: Outputs) -> tuple[Array, Array]:
        """(μ − centre)/half and σ/half."""
        m, _ = jnp.split(y, 2)
        m = self.gain * m
        below, above = self.action_space.bounded
        mean = jnp.where(below & above, jnp.tanh(m), m)
        for one_sided, sign in ((below & ~above, 1), (above & ~below, -1)):
            if one_sided.any():
                mean = jnp.where(one_sided, sign * jax.nn.elu(sign * m), mean)
        return mean, self.relative_deviation(y)

    def _relative_after(self, y: Outputs, noise: Dimensions) -> tuple[Array, Array]:
        """`_relative` given the noise of the previous action."""
        mean, sigma = self._relative(y)
        rho = self.noise_process.correlation
        return mean + sigma * rho * noise, sigma * jnp.sqrt(1 - rho**2)

    def _scaled(self, mean: Array, sigma: Array) -> tuple[Array, Array]:
        """μ and σ of the action."""
        centre, half = (jnp.asarray(part, mean.dtype) for part in self._frame())
        return centre + half * mean, half * sigma

    def _log_density(self, action: Dimensions, mean: Array, sigma: Array) -> Scalar:
        """In units of half, in which no power of σ overflows or vanishes."""
        centre, half = (jnp.asarray(part, mean.dtype) for part in self._frame())
        log_density = jax.scipy.stats.norm.logpdf((action - centre) / half, mean, sigma)
        return self._sum(log_density - jnp.log(half))

    def sample(self, key: Key, y: Outputs) -> Dimensions:
        """μ + σ ε."""
        mean, sigma = self._scaled(*self._relative(y))
        return jax.lax.stop_gradient(mean + sigma * jax.random.normal(key, mean.shape, y.dtype))

    @property
    def no_noise(self) -> Dimensions:
        return jnp.zeros(len(self.low))

    def noise(self, y: Outputs, action: Dimensions) -> Dimensions:
        """ξ = (a − μ)/σ."""
        mean, sigma = self._scaled(*self._relative(y))
        return (action - mean) / sigma

    def sample_after(self, key: Key, y: Outputs, noise: Dimensions) -> Dimensions:
        """μ + σ (ρ ξ + √(1 − ρ²) ε)."""
        mean, sigma = self._scaled(*self._relative_after(y, noise))
        return jax.lax.stop_gradient(mean + sigma * jax.random.normal(key, mean.shape, y.dtype))

    def mode(self, y: Outputs) -> Dimensions:
        """μ."""
        return self._scaled(*self._relative(y))[0]

    def log_probability(self, y: Outputs, action: Dimensions) -> Scalar:
        """Σ −½((a − μ)/σ)² − log σ − ½ log 2π."""
        return self._log_density(action, *self._relative(y))

    def log_probability_after(self, y: Outputs, action: Dimensions, noise: Dimensions) -> Scalar:
        """log π(a | y, ξ), a Gaussian of mean μ + σ ρ ξ and standard deviation σ √(1 − ρ²)."""
        return self._log_density(action, *self._relative_after(y, noise))

    def entropy(self, y: Outputs) -> Scalar:
        """Σ log σ + ½ log 2πe."""
        _, sigma = self._scaled(*self._relative(y))
        return self._sum(jnp.log(sigma) + 0.5 * np.log(2 * np.pi * np.e))

    def score(self, y: Outputs, action: Dimensions) -> Outputs:
        """By `score_estimator`, for white noise."""
        white = dataclasses.replace(self, noise_process=WhiteNoise())
        return white.score_after(y, action, self.no_noise)

    def score_after(self, y: Outputs, action: Dimensions, noise: Dimensions) -> Outputs:
        """By `score_estimator`."""
        return self.score_estimator(self, y, action, noise)

    def encode(self, action: Dimensions) -> Float[Array, "action_size"]:
        """(a − centre)/half of the admissible action."""
        centre, half = self._frame()
        return (self.admissible(action) - centre) / half

    def admissible(self, action: Dimensions) -> Dimensions:
        """The action clipped to the bounds."""
        below, above = self.action_space.bounded
        low, high = np.where(below, self.low, -np.inf), np.where(above, self.high, np.inf)
        return jnp.clip(action, jnp.array(low), jnp.array(high))

    @property
    def no_action(self) -> Dimensions:
        """The centre."""
        return jnp.asarray(self._frame()[0], jnp.zeros(0).dtype)


SPREADS: Registry[Spread] = Registry("spread", {"state": StateSpread, "global": GlobalSpread})
SCORES: Registry[ScoreEstimator] = Registry(
    "score", {"plain": PlainScore, "variance-scaled": VarianceScaledScore}
)
