"""Gaussian policies with correlated noise."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.stats import multivariate_normal

from rtrrl.learning.policies import AutoregressiveNoise, Categorical, Gaussian, GlobalSpread
from tests.members import quick_jit

RHO = 0.8
WHITE = Gaussian((-2.0, 0.0), (4.0, 1.0))
CORRELATED = dataclasses.replace(WHITE, noise_process=AutoregressiveNoise(RHO))
Y = jnp.array([0.3, -0.2, -0.4, 0.4])


def episode(policy, length, key=0, y=Y):
    """The actions of an episode with constant y, and the noise before each."""

    def step(noise, key):
        action = policy.sample_after(key, y, noise)
        return policy.noise(y, action), (action, noise)

    keys = jax.random.split(jax.random.key(key), length)
    return quick_jit(lambda keys: jax.lax.scan(step, policy.no_noise, keys)[1])(keys)


def test_an_episode_has_the_probability_of_its_gaussian_process(x64):
    """Σ log π(a_t | y, ξ_{t−1}) is log N(a; μ, σ² L Lᵀ), L lower triangular from the recursion."""
    policy = Gaussian((-1.0,), (1.0,), noise_process=AutoregressiveNoise(RHO))
    y, length = jnp.array([0.4, -0.7]), 6
    actions, noises = episode(policy, length, y=y)
    each = jax.vmap(policy.log_probability_after, in_axes=(None, 0, 0))(y, actions, noises)
    step = np.arange(length)
    lag = step[:, None] - step
    L = np.where(lag >= 0, RHO ** np.maximum(lag, 0), 0.0) * np.sqrt(1 - RHO**2)
    sigma = float(policy.relative_deviation(y)[0])
    joint = multivariate_normal(np.full(length, policy.mode(y)[0]), sigma**2 * L @ L.T)
    assert float(each.sum()) == pytest.approx(joint.logpdf(np.ravel(actions)), rel=1e-9)


def test_score_is_the_derivative_given_the_noise(x64):
    action, noise = jnp.array([1.3, 0.2]), jnp.array([0.5, -1.1])
    near = Y + 1e-6 * jnp.concatenate([jnp.eye(4), -jnp.eye(4)])
    probability = jax.vmap(CORRELATED.log_probability_after, in_axes=(0, None, None))
    above, below = np.split(probability(near, action, noise), 2)
    score = CORRELATED.score_after(Y, action, noise)
    np.testing.assert_allclose(score, (above - below) / 2e-6, rtol=1e-5)


def test_score_is_zero_on_average_after_any_noise():
    noise = jnp.array([0.9, -1.4])
    keys = jax.random.split(jax.random.key(1), 4000)
    drawn = jax.vmap(lambda key: CORRELATED.sample_after(key, Y, noise))(keys)
    scores = np.asarray(jax.vmap(lambda a: CORRELATED.score_after(Y, a, noise))(drawn))
    standard = scores.std(axis=0) / len(keys) ** 0.5
    assert (np.abs(scores.mean(axis=0)) < 4 * standard).all()


def test_noise_is_correlated_and_each_action_keeps_its_spread():
    actions, _ = episode(CORRELATED, 20_000)
    noise = np.asarray(jax.vmap(lambda a: CORRELATED.noise(Y, a))(actions))
    np.testing.assert_allclose(noise.std(axis=0), 1.0, atol=0.05)
    for one in noise.T:
        assert np.corrcoef(one[1:], one[:-1])[0, 1] == pytest.approx(RHO, abs=0.03)


@pytest.mark.parametrize(
    "policy",
    [WHITE, dataclasses.replace(WHITE, spread=GlobalSpread()), Categorical(4)],
    ids=["state", "global", "categorical"],
)
def test_white_noise_is_independent_of_the_previous_noise(policy):
    key = jax.random.key(2)
    before = policy.noise(Y, policy.sample(jax.random.key(3), Y))
    action = policy.sample(key, Y)
    np.testing.assert_array_equal(policy.sample_after(key, Y, before), action)
    np.testing.assert_array_equal(policy.score_after(Y, action, before), policy.score(Y, action))


def test_the_score_without_previous_noise_is_that_of_white_noise():
    action = jnp.array([1.3, 0.2])
    np.testing.assert_array_equal(CORRELATED.score(Y, action), WHITE.score(Y, action))


def test_sigma_stays_above_its_lower_bound():
    policy = dataclasses.replace(WHITE, narrowest=0.2)
    deviation = lambda s: np.asarray(policy.relative_deviation(jnp.array([0.0, 0.0, s, s])))  # noqa: E731
    np.testing.assert_allclose(deviation(-100.0), 0.2, rtol=1e-5)
    np.testing.assert_allclose(deviation(0.0), 1.0, rtol=1e-5)
    np.testing.assert_allclose(deviation(100.0), np.e, rtol=1e-5)


def test_invalid_settings_are_refused():
    with pytest.raises(ValueError, match=r"rho is 1\.0.*\[0, 1\)"):
        AutoregressiveNoise(1.0)
    with pytest.raises(ValueError, match="narrowest is 0"):
        dataclasses.replace(WHITE, narrowest=0.0)


def test_the_gain_scales_the_mean():
    policy = Gaussian((-2.0, -np.inf), (4.0, np.inf), gain=0.3)
    y = jnp.array([0.5, 0.5, 0.0, 0.0])
    np.testing.assert_allclose(policy.mode(y), [1.0 + 3.0 * np.tanh(0.15), 0.15], rtol=1e-6)
    with pytest.raises(ValueError, match="gain is 0"):
        dataclasses.replace(WHITE, gain=0.0)
