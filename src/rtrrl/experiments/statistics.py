"""How far a few seeds can be trusted."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float

Z = 1.96
"""Of a 95 % interval."""
RESAMPLES = 4_000


class Interval(NamedTuple):
    """An estimate, and where 95 % of such intervals would hold the truth."""

    estimate: float
    low: float
    high: float


def share_interval(successes: int, trials: int) -> Interval:
    """The share of successes, with Wilson's interval (1927), which few trials do not break.

    >>> [round(bound, 2) for bound in share_interval(9, 10)]
    [0.9, 0.6, 0.98]
    """
    share, spread = successes / trials, Z**2 / trials
    centre = (share + spread / 2) / (1 + spread)
    half = Z * np.sqrt(share * (1 - share) / trials + spread / (4 * trials)) / (1 + spread)
    return Interval(share, max(0.0, float(centre - half)), min(1.0, float(centre + half)))


def mean_interval(scores: Float[np.ndarray, " seeds"]) -> Interval:
    """The mean, with the interval that 95 % of the means of resampled seeds lie in.

    >>> mean_interval(np.array([3.0, 3.0, 3.0]))
    Interval(estimate=3.0, low=3.0, high=3.0)
    """
    drawn = np.random.default_rng(0).choice(scores, (RESAMPLES, len(scores)))
    low, high = np.percentile(drawn.mean(axis=1), (2.5, 97.5))
    return Interval(float(scores.mean()), float(low), float(high))
