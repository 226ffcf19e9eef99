"""What is shaded around the median over seeds."""

from abc import ABC, abstractmethod
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from rtrrl.errors import RtrrlError

Bounds = tuple[Float[np.ndarray, " steps"], Float[np.ndarray, " steps"]]


class Band(ABC):
    """The bounds of a band around a curve; `str` is its name in the figure."""

    @abstractmethod
    def __call__(self, values: Float[np.ndarray, "steps seeds"]) -> Bounds:
        """The lower and the upper bound at every step.

        A seed without a value at a step is NaN there; at least one seed has one.
        """


@dataclass(frozen=True)
class Percentiles(Band):
    """Two percentiles of the seeds.

    **Raises** `RtrrlError` unless 0 <= low <= high <= 100.
    """

    low: float
    high: float

    def __post_init__(self) -> None:
        if not 0 <= self.low <= self.high <= 100:
            raise RtrrlError(
                f"the percentiles are {self.low:g} and {self.high:g}: they must lie in [0, 100], "
                "the lower one first"
            )

    def __call__(self, values: Float[np.ndarray, "steps seeds"]) -> Bounds:
        low, high = np.nanpercentile(values, (self.low, self.high), axis=1)
        return low, high

    def __str__(self) -> str:
        return f"percentiles {self.low:g} to {self.high:g} of the seeds"


@dataclass(frozen=True)
class Bootstrap(Band):
    """A bootstrap interval of the median over seeds, by the percentile method.

    It has no width where there is one seed. All steps share the resamples, which are the same in
    every call. Source: Efron and Tibshirani, An Introduction to the Bootstrap (1993), chapter 13.

    **Raises** `RtrrlError` unless 0 < confidence < 1 and resamples >= 1.
    """

    confidence: float = 0.95
    resamples: int = 2000

    def __post_init__(self) -> None:
        if not 0 < self.confidence < 1:
            raise RtrrlError(f"confidence is {self.confidence}: it must lie between 0 and 1")
        if self.resamples < 1:
            raise RtrrlError(f"resamples is {self.resamples}: it must be 1 or more")

    def __call__(self, values: Float[np.ndarray, "steps seeds"]) -> Bounds:
        low, high = np.full((2, len(values)), np.nan)
        present = np.isfinite(values)
        for seeds in np.unique(present, axis=0):  # the steps at which these have a value
            steps = (present == seeds).all(axis=1)
            low[steps], high[steps] = self._interval(values[steps][:, seeds])
        return low, high

    def _interval(self, values: Float[np.ndarray, "some_steps some_seeds"]) -> Bounds:
        from scipy.stats import bootstrap  # which takes a second to import

        if values.shape[1] == 1:
            return values[:, 0], values[:, 0]
        low, high = bootstrap(
            (values,),
            np.median,
            axis=1,
            method="percentile",
            confidence_level=self.confidence,
            n_resamples=self.resamples,
            batch=100,  # bounds the memory
            rng=np.random.default_rng(0),
        ).confidence_interval
        return low, high

    def __str__(self) -> str:
        return f"{100 * self.confidence:g} % bootstrap interval of the median"


QUARTILES, RANGE = Percentiles(25.0, 75.0), Percentiles(0.0, 100.0)
BANDS: dict[str, Band] = {"quartiles": QUARTILES, "range": RANGE, "bootstrap": Bootstrap()}
"""The names of `rtrrl plot --band`."""
