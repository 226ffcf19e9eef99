"""Errors reach the cell by backpropagation, or through a fixed random matrix."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rtrrl.agents import RTRRL
from rtrrl.cells import GRUConfig, LRUConfig
from rtrrl.gradients import RTRL
from rtrrl.learning.optimizers import Adam
from rtrrl.learning.policies import Categorical
from rtrrl.learning.readouts import RandomFeedback, Symmetric
from rtrrl.types import parameters
from tests.helpers import run_steps
from tests.members import assert_same, quick_jit

pytestmark = pytest.mark.usefixtures("x64")
ETA = 0.7


@pytest.fixture
def features():
    return jnp.array([0.3, -1.2, 2.0])


def test_symmetric_feedback_is_backpropagation(features):
    readout = Symmetric().readout(3, 2, 1.0, jax.random.key(0))
    y_bar = jnp.array([0.5, -2.0])
    _, vjp = jax.vjp(lambda readout, f: readout(f), readout, features)
    by_weight, by_features = vjp(y_bar)
    np.testing.assert_allclose(readout.pullback(y_bar), by_features, rtol=1e-12)
    assert_same(readout.gradient(features, y_bar), by_weight)


def test_random_feedback_goes_through_the_fixed_matrix(features):
    readout = RandomFeedback(2.0).readout(3, 2, 1.0, jax.random.key(0))
    y_bar, B = jnp.array([0.5, -2.0]), readout.feedback.value
    np.testing.assert_allclose(readout.pullback(y_bar), B.T @ y_bar, rtol=1e-12)
    assert not np.allclose(B, readout.weight[:, :-1])
    gradient = readout.gradient(features, y_bar)
    np.testing.assert_allclose(gradient.weight, np.outer(y_bar, [*features, 1.0]), rtol=1e-12)
    assert parameters(readout).feedback is None
    assert gradient.feedback is None


def still(agent_feedback, config):
    """An agent with λ = 0 and a learning rate of 0: its trace is the gradient."""
    return RTRRL(
        task="none",
        observation_size=2,
        policy=Categorical(3),
        cell=config,
        rule=RTRL(),
        feedback=agent_feedback,
        optimizer=Adam(learning_rate=0.0),
        lambda_actor=0.0,
        lambda_critic=0.0,
        lambda_recurrent=0.0,
        actor_coefficient=ETA,
    )


def backward_readout(readout):
    """The readout whose gradient the cell receives: with B in place of W for random feedback."""
    if not hasattr(readout, "feedback"):
        return readout
    weight = readout.weight.at[:, :-1].set(readout.feedback.value)
    return eqx.tree_at(lambda r: r.weight, readout, weight)


@pytest.mark.parametrize(
    ("feedback", "config"),
    [(Symmetric(), LRUConfig(hidden_size=3)), (RandomFeedback(), GRUConfig(hidden_size=3))],
    ids=["symmetric-lru", "random-gru"],
)
def test_agents_gradient_is_that_of_value_and_log_probability_through_time(feedback, config):
    """∇[v̂(hₜ) + η_A log π(aₜ|hₜ)] at hₜ, the state before the step, never at h'."""
    agent = still(feedback, config)
    observations = jax.random.normal(jax.random.key(1), (5, 2))
    states, _ = run_steps(agent, agent.init(jax.random.key(0)), observations, 0.1 * np.arange(1, 5))
    *_, before, after = states
    params, h = before.params, before.last.h

    # the input of the last step does not enter h
    inputs = [state.last.x for state in states[:-1]]
    features = params.cell.features(h, inputs[-1])
    score = agent.policy.score(params.actor(features), before.last.action)

    @quick_jit
    @jax.grad
    def gradient(learned):
        cell = eqx.combine(learned, params.cell)
        h = cell.initial_state()
        for x in inputs:
            h = cell(h, x)
        features = cell.features(h, inputs[-1])
        value = backward_readout(params.critic)(features)[0]
        return value + ETA * score @ backward_readout(params.actor)(features)

    traces = after.traces
    assert_same(traces.cell, gradient(parameters(params.cell)))
    np.testing.assert_allclose(traces.critic.weight, [[*features, 1.0]], rtol=1e-12)
    np.testing.assert_allclose(traces.actor.weight, np.outer(score, [*features, 1.0]), rtol=1e-10)
