"""What the recurrence is told: backpropagation, or the same through a fixed random matrix."""

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


def still(agent_feedback, recipe):
    """An agent that computes its gradients and does not move: its trace is the gradient."""
    return RTRRL(
        task="none",
        observations=2,
        policy=Categorical(3),
        cell=recipe,
        rule=RTRL(),
        feedback=agent_feedback,
        optimizer=Adam(learning_rate=0.0),
        lambda_actor=0.0,
        lambda_critic=0.0,
        lambda_recurrent=0.0,
        actor_coefficient=ETA,
    )


def telling(readout):
    """The readout that the recurrence believes in: W, or B in its place."""
    if not hasattr(readout, "feedback"):
        return readout
    believed = readout.weight.at[:, :-1].set(readout.feedback.value)
    return eqx.tree_at(lambda r: r.weight, readout, believed)


@pytest.mark.parametrize(
    ("feedback", "recipe"),
    [(Symmetric(), LRUConfig(hidden_size=3)), (RandomFeedback(), GRUConfig(hidden_size=3))],
    ids=["symmetric-lru", "random-gru"],
)
def test_agents_gradient_is_that_of_value_and_log_probability_through_time(feedback, recipe):
    """∇[v̂(hₜ) + η_A log π(aₜ|hₜ)] at hₜ, the state that δ is about: never at h'."""
    agent = still(feedback, recipe)
    state = agent.init(jax.random.key(0))
    theta, step = state.parameters, quick_jit(agent.step)
    observations = jax.random.normal(jax.random.key(1), (5, 2))
    state, _ = quick_jit(agent.begin)(state, observations[0])
    before, input_size = state, [state.now.x]
    for t in range(1, 5):
        before = state
        state, _, _ = step(state, observations[t], jnp.array(0.1 * t), jnp.ones(()))
        inputs.append(state.now.x)

    # of the last step; its own x is h' 's business
    inputs, action, h = inputs[:-1], before.now.action, before.now.h
    y_now = theta.actor(theta.cell.features(h, inputs[-1]))
    score = agent.policy.score(y_now, action)

    @quick_jit
    def gradient(learnt):
        def objective(learnt):
            cell = eqx.combine(learnt, theta.cell)
            h = cell.initial_state()
            for x in inputs:
                h = cell(h, x)
            features = cell.features(h, inputs[-1])
            told = telling(theta.actor)(features)
            return telling(theta.critic)(features)[0] + ETA * score @ told

        return jax.grad(objective)(learnt)

    assert_same(state.traces.cell, gradient(parameters(theta.cell)))
    features = theta.cell.features(h, inputs[-1])
    np.testing.assert_allclose(state.traces.critic.weight, [[*features, 1.0]], rtol=1e-12)
    np.testing.assert_allclose(
        state.traces.actor.weight, np.outer(score, [*features, 1.0]), rtol=1e-10
    )
