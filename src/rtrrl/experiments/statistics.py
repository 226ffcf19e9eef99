"""Confidence intervals of scores over a few seeds."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float
from scipy.stats import binomtest, bootstrap


class Interval(NamedTuple):
    """An estimate with its 95 % confidence interval."""

    estimate: float
    low: float
    high: float


def proportion_interval(successes: int, trials: int) -> Interval:
    """The proportion of successes with Wilson's interval (1927), which suits few trials.

    >>> [round(bound, 2) for bound in proportion_interval(9, 10)]
    [0.9, 0.6, 0.98]
    """
    interval = binomtest(successes, trials).proportion_ci(method="wilson")
    return Interval(successes / trials, float(interval.low), float(interval.high))


def mean_interval(scores: Float[np.ndarray, " seeds"]) -> Interval:
    """The mean with its percentile bootstrap interval, of 4,000 resamples of at least two seeds.

    >>> mean_interval(np.array([3.0, 3.0, 3.0]))
    Interval(estimate=3.0, low=3.0, high=3.0)
    """
    rng = np.random.default_rng(0)
    result = bootstrap((scores,), np.mean, n_resamples=4_000, method="percentile", rng=rng)
    interval = result.confidence_interval
    return Interval(float(scores.mean()), float(interval.low), float(interval.high))
