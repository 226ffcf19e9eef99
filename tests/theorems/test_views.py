"""Backward views, by traces, against forward views, by returns."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rtrrl.learning.returns import lambda_returns, td_error
from rtrrl.learning.traces import Accumulating, Dutch, Replacing

pytestmark = pytest.mark.usefixtures("x64")
STEPS, FEATURES = 12, 5


def episode(end_discount):
    """φ₀ … φ_T, rewards and discounts (γ = 0.9) of one episode."""
    rng = np.random.default_rng(4)
    phi = rng.normal(size=(STEPS + 1, FEATURES))
    discount = np.full(STEPS, 0.9)
    discount[-1] *= end_discount
    return phi, rng.normal(size=STEPS), discount


@pytest.mark.parametrize("end_discount", [0.0, 1.0], ids=["terminated", "truncated"])
@pytest.mark.parametrize("lambda_", [0.0, 0.7, 1.0])
def test_backward_view_is_forward_view(end_discount, lambda_):
    """Σₜ δₜ₊₁ eₜ = Σₜ (Gₜ^λ − v(sₜ)) ∇v(sₜ), for a nonlinear v and fixed θ."""
    phi, reward, discount = episode(end_discount)
    theta = jnp.linspace(-1, 1, FEATURES)
    value = jax.vmap(jax.value_and_grad(lambda theta, phi: jnp.tanh(theta @ phi)), (None, 0))
    v, gradient = value(theta, phi)
    trace, backward = jnp.zeros(FEATURES), 0.0
    for t in range(STEPS):
        trace = Accumulating()(trace, gradient[t], 0.9 * lambda_)
        delta = td_error(jnp.asarray(reward[t]), jnp.asarray(discount[t]), v[t + 1], v[t])
        backward += delta * trace
    returns = lambda_returns(jnp.asarray(reward), jnp.asarray(discount), v[1:], lambda_)
    np.testing.assert_allclose(backward, (returns - v[:-1]) @ gradient[:-1], rtol=1e-12)


def test_lambda_returns_by_hand():
    """λ = 1 is the discounted sum with its bootstrap, λ = 0 the one-step target."""
    reward, discount, v = jnp.array([1.0, 2.0]), jnp.array([0.5, 0.5]), jnp.array([10.0, 20.0])
    np.testing.assert_allclose(lambda_returns(reward, discount, v, 1.0), [1 + 1 + 5, 2 + 10])
    np.testing.assert_allclose(lambda_returns(reward, discount, v, 0.0), [1 + 5, 2 + 10])
    np.testing.assert_allclose(lambda_returns(reward, discount, v, 0.5), [1 + 2.5 + 3, 2 + 10])


def online_lambda_return(phi, reward, discount, alpha, lambda_):
    """van Seijen et al. 2016, §3: at every horizon all updates again, towards interim λ-returns."""
    weights = [np.zeros(FEATURES)]
    for horizon in range(1, STEPS + 1):
        # the value of sₖ is by the weights of time k − 1, the latest at that time
        v = np.array([weights[k - 1] @ phi[k] for k in range(1, horizon + 1)])
        target, targets = v[-1], np.zeros(horizon)
        for k in reversed(range(horizon)):
            target = reward[k] + discount[k] * ((1 - lambda_) * v[k] + lambda_ * target)
            targets[k] = target
        theta = weights[0]
        for k in range(horizon):
            theta = theta + alpha * (targets[k] - theta @ phi[k]) * phi[k]
        weights.append(theta)
    return weights[-1]


@pytest.mark.parametrize("end_discount", [0.0, 1.0], ids=["terminated", "truncated"])
@pytest.mark.parametrize("lambda_", [0.0, 0.8, 1.0])
def test_dutch_trace_is_the_online_lambda_return(end_discount, lambda_):
    """True online TD(λ), the parameter vector in two arrays, as in an agent."""
    phi, reward, discount = episode(end_discount)
    alpha, gamma = 0.05, 0.9
    split = lambda vector: {"a": jnp.asarray(vector[:2]), "b": jnp.asarray(vector[2:])}  # noqa: E731
    whole = lambda tree: np.concatenate([tree["a"], tree["b"]])  # noqa: E731
    theta, trace, v_old = np.zeros(FEATURES), split(np.zeros(FEATURES)), 0.0
    for t in range(STEPS):
        v, v_next = theta @ phi[t], theta @ phi[t + 1]
        trace = Dutch(alpha)(trace, split(phi[t]), gamma * lambda_)
        delta = reward[t] + discount[t] * v_next - v
        theta = theta + alpha * ((delta + v - v_old) * whole(trace) - (v - v_old) * phi[t])
        v_old = v_next
    exact = online_lambda_return(phi, reward, discount, alpha, lambda_)
    np.testing.assert_allclose(theta, exact, rtol=1e-11)


def test_replacing_trace():
    trace = Replacing()(jnp.array([2.0, 2.0]), jnp.array([0.0, 5.0]), 0.5)
    np.testing.assert_array_equal(trace, [1.0, 5.0])
