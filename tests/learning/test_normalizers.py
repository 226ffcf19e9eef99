import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rtrrl.learning.normalizers import (
    HORIZON,
    AmplifiedObservations,
    Moments,
    RawObservations,
    RawRewards,
    ReturnScaledRewards,
    RunningObservations,
)


def test_moments_are_those_of_numpy(x64):
    """Far from zero, where the naive sum of squares would lose every digit."""
    values = 1e6 + np.random.default_rng(0).normal(size=(50, 3))
    moments = Moments.zeros((3,))
    for count, value in enumerate(values, start=1):
        moments = moments.add(jnp.asarray(value))
        if count > 1:
            np.testing.assert_allclose(
                moments.variance, values[:count].var(axis=0, ddof=1), rtol=1e-6
            )
        np.testing.assert_allclose(moments.mean, values[:count].mean(axis=0), rtol=1e-14)
    assert moments.count == 50


def test_the_variance_stays_right_after_many_steps():
    """In float32, where the count stops at 2²⁴ and the sum of squares would go on growing."""
    rare = jax.random.bernoulli(jax.random.key(0), 0.01, (200_000,)).astype(jnp.float32)
    old = Moments(jnp.array(HORIZON), jnp.array(0.01), jnp.array(HORIZON * 0.0099))
    late, _ = jax.lax.scan(lambda moments, value: (moments.add(value), None), old, rare)
    assert late.count == HORIZON
    np.testing.assert_allclose(late.variance, 0.0099, rtol=0.01)


def test_the_variance_is_one_for_fewer_than_two_values():
    np.testing.assert_array_equal(Moments.zeros((2,)).variance, [1.0, 1.0])
    np.testing.assert_array_equal(Moments.zeros(()).add(jnp.array(7.0)).variance, 1.0)


def test_running_observations_have_mean_0_and_variance_1(x64):
    values = 5 + 3 * np.random.default_rng(0).normal(size=(40, 2))
    normalizer = RunningObservations()
    statistics = normalizer.init(2)
    for value in values:
        statistics = normalizer.update(statistics, jnp.asarray(value))
    out = jax.vmap(normalizer, in_axes=(None, 0))(statistics, jnp.asarray(values))
    np.testing.assert_allclose(out.mean(axis=0), 0, atol=1e-12)
    np.testing.assert_allclose(out.std(axis=0, ddof=1), 1, rtol=1e-8)


def test_amplified_observations_are_scaled_up_and_never_down(x64):
    """One that varies by 0.2 comes out with deviation 1, one that varies by 3 keeps its own."""
    values = [5.0, -1.0] + np.array([0.2, 3.0]) * np.random.default_rng(0).normal(size=(400, 2))
    normalizer = AmplifiedObservations(epsilon=1e-30)
    statistics = normalizer.init(2)
    for value in values:
        statistics = normalizer.update(statistics, jnp.asarray(value))
    out = jax.vmap(normalizer, in_axes=(None, 0))(statistics, jnp.asarray(values))
    np.testing.assert_allclose(out.mean(axis=0), 0, atol=1e-12)
    own = values[:, 1].std(ddof=1)
    np.testing.assert_allclose(out.std(axis=0, ddof=1), [1.0, own], rtol=1e-8)


def test_amplification_is_bounded():
    """By 1/√ε, where an entry was constant so far and changes."""
    normalizer = AmplifiedObservations()
    constant = Moments(jnp.array(1e6), jnp.array([2.0]), jnp.array([0.0]))
    assert float(normalizer(constant, jnp.array([3.0]))[0]) == pytest.approx(100, rel=1e-5)


@pytest.mark.parametrize("kind", [RunningObservations, AmplifiedObservations])
def test_a_constant_observation_stays_finite(kind):
    normalizer = kind()
    statistics = normalizer.init(1)
    for _ in range(3):
        statistics = normalizer.update(statistics, jnp.array([2.0]))
    assert normalizer(statistics, jnp.array([2.0])) == 0


def test_rewards_are_scaled_by_the_root_mean_square_of_the_running_return(x64):
    """u = 1, 2.5, 4.25, and 1 in the next episode."""
    normalizer = ReturnScaledRewards(decay=0.5, epsilon=1e-30)
    statistics = normalizer.init()
    for reward in (1.0, 2.0, 3.0):
        statistics = normalizer.update(statistics, jnp.array(reward))
    statistics = normalizer.update(normalizer.restart(statistics), jnp.array(1.0))
    scale = np.sqrt(np.mean(np.square([1.0, 2.5, 4.25, 1.0])))
    assert float(statistics.u) == 1.0
    assert float(normalizer(statistics, jnp.array(-4.0))) == pytest.approx(-4 / scale)
    assert normalizer(statistics, jnp.array(0.0)) == 0, "scaled, never centred"


def test_a_constant_return_has_a_scale():
    normalizer = ReturnScaledRewards()
    statistics = normalizer.init()
    for _ in range(100):
        statistics = normalizer.update(normalizer.restart(statistics), jnp.array(2.0))
    assert float(normalizer(statistics, jnp.array(2.0))) == pytest.approx(1.0)


def test_the_scale_is_one_before_the_first_reward():
    normalizer = ReturnScaledRewards()
    assert float(normalizer(normalizer.init(), jnp.array(3.0))) == pytest.approx(3.0)


def test_raw_is_the_identity():
    value = jnp.array([1.0, -2.0])
    raw = RawObservations()
    assert raw.init(2) is None
    np.testing.assert_array_equal(raw(raw.update(None, value), value), value)
    rewards = RawRewards()
    assert rewards.init() is None
    assert rewards(rewards.update(rewards.restart(None), value[0]), value[0]) == 1.0
