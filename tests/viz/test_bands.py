import numpy as np
import pytest
from scipy.stats import bootstrap

from rtrrl.errors import RtrrlError
from rtrrl.viz.bands import QUARTILES, RANGE, Bootstrap, Percentiles

NAN = np.nan
VALUES = np.array([[0.0, 1.0, 2.0, 5.0], [3.0, NAN, 1.0, NAN], [NAN, NAN, 7.0, NAN]])
"""Of four seeds, at three steps."""


def expected_interval(values, confidence=0.95):
    """By scipy, for one step."""
    return bootstrap(
        (values,),
        np.median,
        method="percentile",
        confidence_level=confidence,
        n_resamples=2000,
        batch=100,
        rng=np.random.default_rng(0),
    ).confidence_interval


def test_percentiles_are_those_of_the_seeds_that_have_a_value():
    low, high = QUARTILES(VALUES)
    assert (low.tolist(), high.tolist()) == ([0.75, 1.5, 7.0], [2.75, 2.5, 7.0])
    low, high = RANGE(VALUES)
    assert (low.tolist(), high.tolist()) == ([0.0, 1.0, 7.0], [5.0, 3.0, 7.0])


def test_the_bootstrap_is_scipys_percentile_interval_of_the_median():
    low, high = Bootstrap()(VALUES)
    first, second = expected_interval(VALUES[0]), expected_interval(np.array([3.0, 1.0]))
    assert (low[0], high[0]) == pytest.approx(tuple(first))
    assert (low[1], high[1]) == pytest.approx(tuple(second))
    assert low[0] < np.median(VALUES[0]) < high[0]


def test_the_bootstrap_of_one_seed_has_no_width():
    low, high = Bootstrap()(VALUES)
    assert (low[2], high[2]) == (7.0, 7.0)
    low, high = Bootstrap()(VALUES[:, :1][:2])
    assert low.tolist() == high.tolist() == [0.0, 3.0]


def test_a_lower_confidence_is_a_narrower_band():
    seeds = np.random.default_rng(0).normal(size=(1, 20))
    (low,), (high,) = Bootstrap()(seeds)
    (low_half,), (high_half,) = Bootstrap(confidence=0.5)(seeds)
    assert low < low_half < high_half < high


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Percentiles(75.0, 25.0), "75 and 25: they must lie in .0, 100., the lower one"),
        (lambda: Percentiles(0.0, 101.0), "0 and 101: they must lie"),
        (lambda: Bootstrap(confidence=95.0), "confidence is 95.0: it must lie between 0 and 1"),
        (lambda: Bootstrap(resamples=0), "resamples is 0: it must be 1 or more"),
    ],
)
def test_settings_out_of_range_are_refused(make, message):
    with pytest.raises(RtrrlError, match=message):
        make()
