import jax
import numpy as np

from rtrrl.environments import Box, Discrete

KEYS = jax.random.split(jax.random.key(0), 2000)


def test_discrete_samples_are_uniform():
    drawn = np.asarray(jax.vmap(Discrete(4).sample)(KEYS))
    np.testing.assert_allclose(np.bincount(drawn) / 2000, 0.25, atol=0.05)


def test_box_samples_are_within_the_bounds_of_each_entry():
    space = Box.of([-1, 10, -np.inf, 0], [1, 30, np.inf, np.inf], (4,))
    drawn = np.asarray(jax.vmap(space.sample)(KEYS))
    assert drawn.dtype == np.float32
    low, high = drawn.min(0), drawn.max(0)
    np.testing.assert_allclose(low[:2], [-1, 10], atol=0.2)
    np.testing.assert_allclose(high[:2], [1, 30], atol=0.2)
    assert low[2] < -2 < 2 < high[2]
    assert low[3] == 0
    assert np.isfinite(drawn).all()


def test_a_box_of_any_shape_has_one_bound_per_entry():
    box = Box.of(0, np.arange(1, 7).reshape(2, 3), (2, 3))
    assert box.size == 6
    assert box.high == (1.0, 2.0, 3.0, 4.0, 5.0, 6.0)
    assert jax.vmap(box.sample)(KEYS).shape == (2000, 2, 3)
    assert str(box) == "Box(2×3)"
    assert hash(box) == hash(Box.of(0, np.arange(1, 7).reshape(2, 3), (2, 3)))
