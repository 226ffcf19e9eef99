"""A model-based agent in small environments: what it predicts, learns and refuses."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rtrrl.agents import ModelBased
from rtrrl.agents.world_model import LatentState, WorldModel
from rtrrl.cells import CTRNNConfig, MemorylessConfig, RTUConfig
from rtrrl.errors import UnsupportedCellError, UnsupportedSpaceError
from rtrrl.gradients import Immediate
from rtrrl.learning.normalizers import RawObservations, RawRewards
from rtrrl.runs import serialization
from tests.helpers import begin, mean_returns, scan_steps, step, train_seeds
from tests.members import quick_jit
from tests.probes import (
    ConstantValue,
    ContinuousBandit,
    OneStepReward,
    TruncatedValue,
    five_step_recall,
)

SEEDS = 4
SMALL = {"cell": RTUConfig(hidden_size=4), "horizon": 3, "rollouts": 2}


def after_training(agent, environment, steps):
    """The states of four seeds' agents."""
    return train_seeds(agent, environment, steps, SEEDS)[1]


def predicted(states):
    """Each seed's prediction for the action that it has just chosen."""

    def one(state):
        model = WorldModel(state.params.cell, state.params.critic)
        return model.step(LatentState(state.last.h, state.last.x), state.last.action)[1]

    return jax.vmap(one)(states)


def test_it_learns_the_value_of_an_action_in_a_context():
    """A policy that ignores the context has a mean return of ½."""
    environment = OneStepReward()
    agent = ModelBased.default(environment)
    assert (mean_returns(agent, environment, after_training(agent, environment, 1000)) > 0.9).all()


def test_it_recalls_a_cue():
    """A policy without memory has a mean return of 0."""
    environment = five_step_recall()
    agent = ModelBased.default(environment)
    assert (mean_returns(agent, environment, after_training(agent, environment, 4000)) > 0.9).all()


def test_recall_needs_a_recurrence():
    environment = five_step_recall()
    agent = ModelBased.default(environment, cell=MemorylessConfig(), rule=Immediate())
    assert (
        np.abs(mean_returns(agent, environment, after_training(agent, environment, 4000))) < 0.6
    ).all()


@pytest.mark.parametrize(
    ("environment", "discount"),
    [(ConstantValue(), 0.0), (TruncatedValue(4), 1.0)],
    ids=["termination", "truncation"],
)
def test_it_predicts_terminations_and_no_truncations(environment, discount):
    agent = ModelBased.default(environment, **SMALL, gamma=0.9)
    states = after_training(agent, environment, 6000)
    prediction = predicted(states)
    np.testing.assert_allclose(prediction.discount, discount, atol=0.1)
    unit = jax.vmap(lambda stats: agent.inputs.rewards(stats, jnp.ones(())))
    rewards = prediction.reward / unit(states.input_stats.rewards)
    np.testing.assert_allclose(rewards, 1.0, atol=0.1)


def test_seeds_side_by_side_are_the_same_as_alone():
    agent = ModelBased.default(OneStepReward(), **SMALL)
    numbers = jax.random.normal(jax.random.key(1), (20, 3))

    def run(key):
        return scan_steps(agent, key, numbers)[0]

    keys = jax.random.split(jax.random.key(0), SEEDS)
    together, alone = quick_jit(jax.vmap(run))(keys), quick_jit(run)(keys[2])
    for ours, theirs in zip(*map(jax.tree.leaves, (together, alone)), strict=True):
        if jnp.issubdtype(ours.dtype, jnp.number):
            assert np.isfinite(ours).all()
            np.testing.assert_allclose(ours[2], theirs, rtol=1e-4, atol=1e-5)
    assert (together.params.actor.weight[0] != together.params.actor.weight[1]).any()


def test_a_frozen_agent_acts_as_one_with_a_learning_rate_of_zero():
    environment = five_step_recall()
    agent = ModelBased.default(
        environment, **SMALL, observations=RawObservations(), rewards=RawRewards()
    )
    state = jax.tree.map(lambda leaf: leaf[0], after_training(agent, environment, 50))
    still = dataclasses.replace(
        agent, optimizer=dataclasses.replace(agent.optimizer, learning_rate=0.0)
    )
    frozen, observation = agent.frozen(state), environment.reset(jax.random.key(3))[1]
    start = dataclasses.replace(frozen.init(state.key), key=state.key, steps=state.steps)

    def two_actions(agent, state):
        state, first = begin(agent, state, observation)
        # a reward that would change any parameter that is still learned
        state, second, info = step(agent, state, observation, jnp.asarray(1e3), jnp.ones(()))
        return (state.last, first, second), info

    ours, info = two_actions(frozen, start)
    theirs, _ = two_actions(still, state)
    for a, b in zip(jax.tree.leaves(ours), jax.tree.leaves(theirs), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)
    assert all(np.isfinite(leaf) for leaf in jax.tree.leaves(info))


def test_a_greedy_frozen_agent_takes_the_most_probable_action():
    environment = OneStepReward()
    agent = ModelBased.default(environment, **SMALL)
    state = jax.tree.map(lambda leaf: leaf[0], after_training(agent, environment, 50))

    @quick_jit
    @jax.vmap
    def choices(key):
        frozen = agent.frozen(state, greedy=True)
        after, action = frozen.begin(frozen.init(key), environment.reset(jax.random.key(0))[1])
        return action, jnp.argmax(after.last.outputs)

    actions, best = choices(jax.random.split(jax.random.key(0), 30))
    assert len(set(actions.tolist())) == 1
    np.testing.assert_array_equal(actions, best)


def test_invalid_settings_are_refused_by_name():
    with pytest.raises(UnsupportedSpaceError, match="Discrete"):
        ModelBased.default(ContinuousBandit())
    environment = OneStepReward()
    for name, wrong in {
        "horizon": 0,
        "rollouts": 0,
        "gamma": 1.5,
        "lambda_critic": -0.1,
        "meta_input": False,
    }.items():
        with pytest.raises(ValueError, match=name):
            ModelBased.default(environment, **{name: wrong})
    with pytest.raises(UnsupportedCellError):
        ModelBased.default(environment, cell=CTRNNConfig(hidden_size=2)).init(jax.random.key(0))


def test_settings_are_data():
    agent = ModelBased.default("TMaze-3", horizon=7, rollouts=2, lambda_critic=0.5)
    assert serialization.from_dict(serialization.to_dict(agent)) == agent
