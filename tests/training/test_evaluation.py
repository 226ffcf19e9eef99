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
from rtrrl.learning.policies import policy_for
from rtrrl.types import TimeStep
from tests.probes import ContinuousBandit, OneStepReward

LONGEST = 8
POISON = 1e6


class Lottery(Environment):
    """1 to 8 steps, each as likely: reward 1 for each but the last, which pays 100.

    Whoever steps on after the end is paid a million.
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
        reward = jnp.where(left > 0, 1.0, jnp.where(left == 0, 100.0, POISON))
        last = left <= 0
        return left, TimeStep(jnp.ones(1), reward, jnp.where(last, self.gamma, 1.0), last)


def newborn(world: Environment, **changes) -> tuple[RTRRL, eqx.Module]:
    agent = RTRRL.default(world, cell=MemorylessConfig(hidden_size=2), rule=Immediate(), **changes)
    return agent, agent.init(jax.random.key(1))


def returns(world: Environment, episodes: int, greedy: bool = False, seed: int = 0) -> np.ndarray:
    agent, state = newborn(world)
    return np.asarray(evaluate(agent, state, world, jax.random.key(seed), episodes, greedy))


@pytest.mark.parametrize("discount", [0.0, 1.0], ids=["terminated", "truncated"])
def test_whole_episodes_with_their_last_reward_and_nothing_after(discount):
    got = returns(Lottery(jnp.array(discount)), 400)
    assert got.shape == (400,)
    steps = got - 100 + 1
    # every length occurs, and short episodes no oftener than long ones
    counts = np.bincount(steps.astype(int), minlength=LONGEST + 1)
    np.testing.assert_array_equal(np.flatnonzero(counts), np.arange(1, LONGEST + 1))
    assert abs(steps.mean() - (1 + LONGEST) / 2) < 5 * 2.3 / 20
    np.testing.assert_array_equal(steps, steps.astype(int))


@pytest.mark.parametrize("episodes", [1, 7])
def test_exactly_as_many_as_asked_for(episodes):
    assert returns(Lottery(jnp.array(0.0)), episodes).shape == (episodes,)


def test_the_key_alone_decides():
    world = Lottery(jnp.array(0.0))
    np.testing.assert_array_equal(returns(world, 20, seed=3), returns(world, 20, seed=3))
    assert (returns(world, 20, seed=3) != returns(world, 20, seed=4)).any()


def test_greedy_takes_the_mode_where_sampling_follows_the_policy():
    world = OneStepReward(contexts=2)
    agent, state = newborn(world)
    # whatever it sees, action 0 has the probability 3/4; the context is 0 half the time
    actor = jnp.zeros_like(state.params.actor.weight).at[0, -1].set(np.log(3.0))
    state = eqx.tree_at(lambda state: state.params.actor.weight, state, actor)

    def first_actions(greedy):
        player = agent.frozen(state, greedy)
        keys = jax.random.split(jax.random.key(5), 200)
        return jax.vmap(lambda key: player.begin(player.init(key), jnp.ones(2))[1])(keys)

    first_actions = jax.jit(first_actions, static_argnums=0)
    assert (first_actions(True) == 0).all()
    assert 0.6 < (first_actions(False) == 0).mean() < 0.9


def test_greedy_and_sampled_returns_of_a_gaussian():
    world = ContinuousBandit(target=0.5)
    agent, state = newborn(world, policy=policy_for(world.action_space))
    # mean ½, σ = 0.37: greedy loses nothing, sampling loses σ² on average (clipped at 1)
    actor = jnp.zeros_like(state.params.actor.weight)
    actor = actor.at[0, -1].set(jnp.arctanh(0.5)).at[1, -1].set(-0.92)
    state = eqx.tree_at(lambda state: state.params.actor.weight, state, actor)
    greedy = evaluate(agent, state, world, jax.random.key(0), 50, True)
    sampled = evaluate(agent, state, world, jax.random.key(0), 50, False)
    np.testing.assert_allclose(greedy, 0.0, atol=1e-12)
    assert -0.2 < float(sampled.mean()) < -0.03
    inside = np.asarray(sampled) != -0.25  # clipped at 1
    assert len(np.unique(sampled)) == inside.sum() + 1


def test_the_frozen_agent_is_the_learner_at_rest():
    """Same keys, learning rate 0: the frozen agent acts, values and errs as the learner does."""
    world = Lottery(jnp.array(0.0))
    agent = RTRRL.paper(world, cell=MemorylessConfig(hidden_size=3), rule=Immediate())
    agent = dataclasses.replace(
        agent, optimizer=dataclasses.replace(agent.optimizer, learning_rate=0.0)
    )
    learner = agent.init(jax.random.key(1))
    player = agent.frozen(learner)
    play = dataclasses.replace(player.init(learner.key), steps=learner.steps)
    learner, action = agent.begin(learner, jnp.ones(1))
    play, frozen_action = player.begin(play, jnp.ones(1))
    assert action == frozen_action
    learn, act = eqx.filter_jit(agent.step), eqx.filter_jit(player.step)
    for time in range(6):
        catch_sigint = (
            jnp.array([0.3 * time]),
            jnp.array(1.0 + time),
            jnp.array(float(time % 3 > 0)),
        )
        learner, action, info = learn(learner, *catch_sigint)
        play, frozen_action, frozen_info = act(play, *catch_sigint)
        assert action == frozen_action
        for ours, theirs in zip(jax.tree.leaves(info), jax.tree.leaves(frozen_info), strict=True):
            np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-6)


def test_statistics_stand_still_while_it_plays():
    from rtrrl.learning.normalizers import ReturnScaledRewards, RunningObservations

    agent = RTRRL.default(
        Lottery(jnp.array(0.0)),
        cell=MemorylessConfig(hidden_size=2),
        rule=Immediate(),
        observations=RunningObservations(),
        rewards=ReturnScaledRewards(),
    )
    state, _ = agent.begin(agent.init(jax.random.key(0)), jnp.array([3.0]))
    state, _, _ = agent.step(state, jnp.array([5.0]), jnp.array(2.0), jnp.array(1.0))
    player = agent.frozen(state, greedy=True)
    play, _ = player.begin(player.init(jax.random.key(1)), jnp.array([1.0]))
    act, seen = eqx.filter_jit(player.step), []
    for _ in range(3):  # the same again must be seen the same, however much came between
        play, _, _ = act(play, jnp.array([1.0]), jnp.array(4.0), jnp.array(1.0))
        seen.append(np.asarray(play.last.x))
        play, _, _ = act(play, jnp.array([1e3]), jnp.array(1e3), jnp.array(1.0))
    np.testing.assert_array_equal(seen[0][[0, -1]], seen[1][[0, -1]])
    np.testing.assert_array_equal(seen[0][[0, -1]], seen[2][[0, -1]])
    statistics = state.input_stats.observations
    np.testing.assert_allclose(
        seen[0][0], (1.0 - statistics.mean[0]) / np.sqrt(statistics.variance[0] + 1e-8), rtol=1e-6
    )
