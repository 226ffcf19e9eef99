"""The generator without a loop gives JAX's bits."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rtrrl.utils.prng import inline_threefry

DRAWS = {
    "uniform": lambda key: jax.random.uniform(key, (3, 5)),
    "normal": lambda key: jax.random.normal(key, (7,)),
    "categorical": lambda key: jax.random.categorical(key, jnp.arange(4.0), shape=(50,)),
    "bernoulli": lambda key: jax.random.bernoulli(key, 0.3, (20,)),
    "permutation": lambda key: jax.random.permutation(key, 11),
    "randint": lambda key: jax.random.randint(key, (9,), 0, 100),
    "8 bits": lambda key: jax.random.bits(key, (6,), "uint8"),
    "16 bits": lambda key: jax.random.bits(key, (6,), "uint16"),
    "fold_in": lambda key: jax.random.uniform(jax.random.fold_in(key, 123456)),
    "split": lambda key: jax.vmap(jax.random.uniform)(jax.random.split(key, 4)),
    "split into a grid": lambda key: jax.random.key_data(jax.random.split(key, (2, 3))),
}


@pytest.mark.parametrize("draw", DRAWS.values(), ids=DRAWS)
@pytest.mark.parametrize("seed", [0, 2**31 - 1])
def test_same_numbers(draw, seed):
    key = jax.random.key(seed)
    np.testing.assert_array_equal(draw(inline_threefry(key)), draw(key))


def test_same_numbers_in_double_precision(x64):
    key = jax.random.key(3)
    drawn = jax.random.normal(inline_threefry(key), (5,))
    assert drawn.dtype == jnp.float64
    np.testing.assert_array_equal(drawn, jax.random.normal(key, (5,)))


def test_under_vmap_and_jit():
    keys = jax.random.split(jax.random.key(1), 6)
    draw = jax.jit(jax.vmap(lambda key: jax.random.normal(inline_threefry(key), (2,))))
    np.testing.assert_array_equal(draw(keys), jax.vmap(lambda k: jax.random.normal(k, (2,)))(keys))
