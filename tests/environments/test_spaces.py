import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rtrrl.environments import Box, Discrete, Flattened, MultiDiscrete, Product
from rtrrl.environments.checks import check_spaces
from rtrrl.errors import UnsupportedSpaceError
from tests.counting import PaidAction

KEYS = jax.random.split(jax.random.key(0), 2000)


def test_discrete_samples_are_uniform():
    drawn = np.asarray(jax.vmap(Discrete(4).sample)(KEYS))
    np.testing.assert_allclose(np.bincount(drawn) / 2000, 0.25, atol=0.05)


def test_box_samples_are_within_the_bounds_of_each_entry():
    space = Box.of([-1, 10, -np.inf, 5, -np.inf, 7], [1, 30, np.inf, np.inf, -5, 7], (6,))
    drawn = np.asarray(jax.vmap(space.sample)(KEYS))
    assert drawn.dtype == np.float32
    low, high = drawn.min(0), drawn.max(0)
    np.testing.assert_allclose(low[:2], [-1, 10], atol=0.2)
    np.testing.assert_allclose(high[:2], [1, 30], atol=0.2)
    assert low[2] < -2 < 2 < high[2]
    assert 5 < low[3] < 5.1 < 7 < high[3] < 10
    assert -10 < low[4] < -7 < -5.1 < high[4] < -5
    assert low[5] == high[5] == 7


def test_absurd_bounds_are_none():
    largest = np.finfo(np.float64).max
    box = Box.of([-1e20, -largest, -1e9, 1, -1e20], [1e20, largest, 1e9, largest, 2], (5,))
    below, above = box.bounded
    assert below.tolist() == [False, False, True, True, False]
    assert above.tolist() == [False, False, True, False, True]
    low, high = box.frame
    assert low.tolist() == [-1, -1, -1e9, 1, 0]
    assert high.tolist() == [1, 1, 1e9, 3, 2]
    assert np.isfinite(jax.vmap(box.sample)(KEYS)).all()


def test_a_small_range_of_large_numbers_has_bounds():
    assert [mask.tolist() for mask in Box.of(1e12, 1e12 + 5, (1,)).bounded] == [[True], [True]]


@pytest.mark.parametrize(
    ("low", "high"), [(3, 1), (np.nan, 1), (0, np.nan), (np.inf, np.inf), (-np.inf, -np.inf)]
)
def test_bounds_with_nothing_between_them_are_refused(low, high):
    with pytest.raises(UnsupportedSpaceError, match=f"entry 1 of a Box ranges from {low:.1f} to"):
        Box.of([0, low], [1, high], (2,))


def test_a_box_of_any_shape_has_one_bound_per_entry():
    box = Box.of(0, np.arange(1, 7).reshape(2, 3), (2, 3))
    assert box.size == 6
    assert box.high == (1.0, 2.0, 3.0, 4.0, 5.0, 6.0)
    assert jax.vmap(box.sample)(KEYS).shape == (2000, 2, 3)
    assert str(box) == "Box(2×3)"
    assert hash(box) == hash(Box.of(0, np.arange(1, 7).reshape(2, 3), (2, 3)))


PRODUCT = Product(MultiDiscrete((3, 2)), Box.of([-1, 5], [1, 5], (2,)))


def test_an_element_of_a_product_is_one_vector():
    drawn = np.asarray(jax.vmap(PRODUCT.sample)(KEYS))
    assert (drawn.shape, drawn.dtype) == ((2000, 4), np.float32)
    np.testing.assert_array_equal(drawn.min(0)[[0, 1, 3]], [0, 0, 5])
    np.testing.assert_array_equal(drawn.max(0)[[0, 1, 3]], [2, 1, 5])
    np.testing.assert_allclose([drawn.min(0)[2], drawn.max(0)[2]], [-1, 1], atol=0.01)
    choices, numbers = PRODUCT.split(jnp.array(drawn[0]))
    assert jnp.issubdtype(choices.dtype, jnp.integer)
    np.testing.assert_array_equal(PRODUCT.join(choices, numbers), drawn[0])
    assert (PRODUCT.low, PRODUCT.high) == ((0, 0, -1, 5), (2, 1, 1, 5))
    assert str(PRODUCT) == "Product(MultiDiscrete(3×2), Box(2))"


class Observed(PaidAction):
    """Observes an element of a product."""

    @property
    def observation_space(self):
        return PRODUCT

    def reset(self, key):
        return super().reset(key)[0], jnp.array([2, 0, 0.5, 5])


def test_a_product_is_flattened_with_its_integers_one_hot():
    environment = Flattened(Observed())
    assert environment.observation_space == Box.of([0] * 5 + [-1, 5], [1] * 6 + [5], (7,))
    _, observation = environment.reset(KEYS[0])
    np.testing.assert_array_equal(observation, [0, 0, 1, 1, 0, 0.5, 5])


class Inverted(PaidAction):
    """Its actions have nothing between their bounds."""

    @property
    def action_space(self):
        return Box.of(3, 1, (1,))


def test_an_environment_with_such_bounds_is_named():
    message = r"Inverted\.action_space: entry 0 of a Box ranges from 3\.0 to 1\.0"
    with pytest.raises(UnsupportedSpaceError, match=message):
        check_spaces(Inverted())
