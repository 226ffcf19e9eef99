"""The evaluation protocol: whole episodes of a frozen agent, counted exactly."""

import dataclasses

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jaxtyping import Array

from rtrrl import RTRRL, evaluate
from rtrrl.cells import MemorylessConfig
from rtrrl.environments import Box, Discrete, Environment
from rtrrl.gradients import Immediate
from rtrrl.learning.normalizers import ReturnScaledRewards, RunningObservations
from rtrrl.types import TimeStep
from tests.helpers import begin, step
from tests.members import quick_jit
from tests.probes import ContinuousBandit, OneStepReward

LONGEST = 8
AFTER_THE_END = 1e6


class RandomLength(Environment):
    """1 to 8 steps, each number as likely: reward 1 for each but the last, which pays 100.

    A step after the end pays a million.
    """

    discount: Array

    @property
    def observation_space(self):
        return Box.of(0, 1, (1,))

    @property
    def action_space(self):
        return Discrete(2)

    def reset(self, key):
        return jax.random.randint(key, (), 1, LONGEST + 1), jnp.ones(1)

    def step(self, key, state, action):
        left = state - 1
        reward = jnp.where(left > 0, 1.0, jnp.where(left == 0, 100.0, AFTER_THE_END))
        last = left <= 0
        return left, TimeStep(jnp.ones(1), reward, jnp.where(last, self.discount, 1.0), last)


def small(environment: Environment, **changes) -> tuple[RTRRL, eqx.Module]:
    """An agent without memory and its initial state."""
    cell, rule = MemorylessConfig(hidden_size=2), Immediate()
    agent = RTRRL.paper(environment, cell=cell, rule=rule, **changes)
    return agent, quick_jit(agent.init)(jax.random.key(1))


def returns(environment: Environment, episodes: int, seed: int = 0) -> np.ndarray:
    agent, state = small(environment)
    return np.asarray(evaluate(agent, state, environment, jax.random.key(seed), episodes))


@pytest.mark.parametrize("discount", [0.0, 1.0], ids=["terminated", "truncated"])
def test_whole_episodes_with_their_last_reward_and_nothing_after(discount):
    got = returns(RandomLength(jnp.array(discount)), 400)
    assert got.shape == (400,)
    steps = got - 100 + 1
    # every length occurs, and short episodes no more often than long ones
    counts = np.bincount(steps.astype(int), minlength=LONGEST + 1)
    np.testing.assert_array_equal(np.flatnonzero(counts), np.arange(1, LONGEST + 1))
    assert abs(steps.mean() - (1 + LONGEST) / 2) < 5 * 2.3 / 20
    np.testing.assert_array_equal(steps, steps.astype(int))


def test_the_key_alone_decides():
    environment = RandomLength(jnp.array(0.0))
    first, again, other = (returns(environment, 7, seed) for seed in (3, 3, 4))
    assert first.shape == (7,)
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()


def test_greedy_takes_the_mode_where_sampling_follows_the_policy():
    agent, state = small(OneStepReward(contexts=2))
    # action 0 has the probability 3/4 whatever the observation
    actor = jnp.zeros_like(state.params.actor.weight).at[0, -1].set(np.log(3.0))
    state = eqx.tree_at(lambda state: state.params.actor.weight, state, actor)

    def first_actions(greedy):
        frozen = agent.frozen(state, greedy)
        keys = jax.random.split(jax.random.key(5), 200)
        return jax.vmap(lambda key: frozen.begin(frozen.init(key), jnp.ones(2))[1])(keys)

    greedy, sampled = quick_jit(lambda: (first_actions(True), first_actions(False)))()
    assert (greedy == 0).all()
    assert 0.6 < (sampled == 0).mean() < 0.9


def test_greedy_and_sampled_returns_of_a_gaussian():
    environment = ContinuousBandit(target=0.5)
    agent, state = small(environment)
    # mean ½, σ = 0.37: greedy loses nothing, sampling loses σ² on average (clipped at 1)
    actor = jnp.zeros_like(state.params.actor.weight)
    actor = actor.at[0, -1].set(jnp.arctanh(0.5)).at[1, -1].set(-0.92)
    state = eqx.tree_at(lambda state: state.params.actor.weight, state, actor)
    greedy = evaluate(agent, state, environment, jax.random.key(0), 50, True)
    sampled = evaluate(agent, state, environment, jax.random.key(0), 50, False)
    np.testing.assert_allclose(greedy, 0.0, atol=1e-12)
    assert -0.2 < float(sampled.mean()) < -0.03
    inside = np.asarray(sampled) != -0.25  # clipped at 1
    assert len(np.unique(sampled)) == inside.sum() + 1


def test_a_frozen_agent_acts_as_one_with_a_learning_rate_of_zero():
    """With the same keys it has the same actions, values and TD errors."""
    agent, state = small(RandomLength(jnp.array(0.0)))
    optimizer = dataclasses.replace(agent.optimizer, learning_rate=0.0)
    agent = dataclasses.replace(agent, optimizer=optimizer)
    frozen = agent.frozen(state)
    frozen_state = dataclasses.replace(frozen.init(state.key), steps=state.steps)
    state, action = begin(agent, state, jnp.ones(1))
    frozen_state, frozen_action = begin(frozen, frozen_state, jnp.ones(1))
    assert action == frozen_action
    for time in range(6):
        observation, reward = jnp.array([0.3 * time]), jnp.array(1.0 + time)
        timestep = observation, reward, jnp.array(float(time % 3 > 0))
        state, action, info = step(agent, state, *timestep)
        frozen_state, frozen_action, frozen_info = step(frozen, frozen_state, *timestep)
        assert action == frozen_action
        for a, b in zip(jax.tree.leaves(info), jax.tree.leaves(frozen_info), strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)


def test_a_frozen_agent_keeps_its_statistics():
    agent, state = small(
        RandomLength(jnp.array(0.0)),
        observations=RunningObservations(),
        rewards=ReturnScaledRewards(),
    )
    state, _ = begin(agent, state, jnp.array([3.0]))
    state, _, _ = step(agent, state, jnp.array([5.0]), jnp.array(2.0), jnp.array(1.0))
    frozen = agent.frozen(state, greedy=True)
    frozen_state, _ = begin(frozen, frozen.init(jax.random.key(1)), jnp.array([1.0]))
    inputs, one = [], jnp.array(1.0)
    for _ in range(3):  # the same observation gives the same input, whatever came between
        frozen_state, *_ = step(frozen, frozen_state, jnp.array([1.0]), jnp.array(4.0), one)
        inputs.append(np.asarray(frozen_state.last.x))
        frozen_state, *_ = step(frozen, frozen_state, jnp.array([1e3]), jnp.array(1e3), one)
    np.testing.assert_array_equal(inputs[0][[0, -1]], inputs[1][[0, -1]])
    np.testing.assert_array_equal(inputs[0][[0, -1]], inputs[2][[0, -1]])
    statistics = state.input_stats.observations
    expected = (1.0 - statistics.mean[0]) / np.sqrt(statistics.variance[0] + 1e-8)
    np.testing.assert_allclose(inputs[0][0], expected, rtol=1e-6)
