"""Cosine and sine as polynomials, and their derivatives."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rtrrl.utils.trigonometry import cos_sin


@pytest.mark.parametrize("largest", [1.0, 20.0, 10_000.0])
def test_float32_is_accurate_to_its_precision(largest):
    angle = np.linspace(-largest, largest, 100_003, dtype=np.float32)
    cos, sin = jax.jit(cos_sin)(angle)
    exact = angle.astype(np.float64)
    np.testing.assert_allclose(cos, np.cos(exact), rtol=0, atol=2e-7)
    np.testing.assert_allclose(sin, np.sin(exact), rtol=0, atol=2e-7)


def test_the_derivatives_are_minus_sine_and_cosine():
    angle = jnp.linspace(-7.0, 7.0, 101)
    (cos, sin), (cos_slope, sin_slope) = jax.jvp(cos_sin, (angle,), (jnp.full_like(angle, 2.0),))
    np.testing.assert_array_equal(cos_slope, -2 * sin)
    np.testing.assert_array_equal(sin_slope, 2 * cos)


def test_float64_is_exact(x64):
    angle = jnp.linspace(-7.0, 7.0, 101, dtype=jnp.float64)
    cos, sin = cos_sin(angle)
    np.testing.assert_array_equal(cos, jnp.cos(angle))
    np.testing.assert_array_equal(sin, jnp.sin(angle))
