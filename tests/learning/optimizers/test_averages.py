"""Exponentially weighted means."""

import jax.numpy as jnp
import numpy as np
import pytest

from rtrrl.learning.optimizers.averages import Average


@pytest.mark.parametrize("decay", [0.0, 0.5, 0.999, 1.0])
def test_an_average_is_weighted_by_age(x64, decay):
    values = np.random.default_rng(0).normal(size=(6, 2))
    average = Average.empty(jnp.zeros(2))
    np.testing.assert_array_equal(average.mean, np.zeros(2))
    for count, value in enumerate(values, 1):
        average = average.add(jnp.asarray(value), decay)
        weights = np.array([decay**age for age in reversed(range(count))])
        expected = weights @ values[:count] / weights.sum()
        np.testing.assert_allclose(average.mean, expected, rtol=1e-12)
