import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rtrrl.utils.branching import cond_any


def test_two_maps_leave_one_conditional():
    function = jax.vmap(jax.vmap(lambda x: cond_any(x > 1, lambda x: jnp.tanh(x) - x, x)))
    x = jnp.arange(6.0).reshape(2, 3)
    np.testing.assert_allclose(function(x), jnp.where(x > 1, jnp.tanh(x) - x, x))
    program = jax.jit(function).lower(x).as_text()
    assert program.count("stablehlo.case") == 1


@pytest.mark.parametrize("in_axes", [(0, None), (None, 0), (0, 0)])
def test_predicate_and_update_may_be_mapped_separately(in_axes):
    x, bias = (jnp.array([-1.0, 2.0]) if axis == 0 else jnp.array(3.0) for axis in in_axes)
    got = jax.vmap(lambda x, b: cond_any(x > 0, lambda x: x + b, x), in_axes)(x, bias)
    np.testing.assert_array_equal(got, jnp.where(x > 0, x + bias, x))


def test_keys_and_structures_are_selected():
    keys = jax.random.split(jax.random.key(0), 2)

    def each(even, state):
        update = lambda s: {"key": jax.random.split(s["key"])[0], "n": s["n"] + 1}  # noqa: E731
        return cond_any(even, update, state)

    state = {"key": keys, "n": jnp.zeros(2, jnp.int32)}
    got = jax.vmap(each)(jnp.array([True, False]), state)
    np.testing.assert_array_equal(got["n"], [1, 0])
    assert got["key"][0] == jax.random.split(keys[0])[0]
    assert got["key"][1] == keys[1]
