"""The T-maze, delayed recall and the probes."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rtrrl.environments import DelayedRecall, TMaze, make
from rtrrl.environments.memory.tmaze import EAST, NORTH, SOUTH, WEST
from rtrrl.errors import RtrrlError
from tests.probes import (
    ConstantValue,
    ContinuousBandit,
    OneStepReward,
    TruncatedValue,
    five_step_recall,
)

KEY = jax.random.key(0)


def follow(env, actions, seed=0):
    """The first observation, and the time steps along `actions`."""
    state, first = env.reset(jax.random.key(seed))
    steps = []
    for action in actions:
        state, step = env.step(KEY, state, jnp.asarray(action))
        steps.append(step)
    return np.asarray(first), steps


def maze_with(north: bool, length: int):
    """A seed with which the goal is on that side."""
    return next(s for s in range(20) if follow(TMaze(length), [], s)[0][2] == north)


@pytest.mark.parametrize("length", [1, 10, 70])
def test_the_best_policy_of_the_t_maze_returns_4(play, length):
    def best(time, observation, memory):
        memory = jnp.where(time == 0, jnp.where(observation[2] == 1, NORTH, SOUTH), memory)
        at_junction = jnp.all(observation == jnp.array([0, 1, 0]))
        return jnp.where(at_junction, memory, EAST).astype(jnp.int32), memory

    for seed in range(4):
        observations, rewards, discounts, _ = play(make(f"TMaze-{length}"), best, length + 3, seed)
        assert len(rewards) == length + 1
        assert rewards.sum() == rewards[-1] == 4
        assert discounts[-1] == 0
        assert (observations[1:-2] == [1, 0, 1]).all()


@pytest.mark.parametrize("north", [True, False])
def test_signs_walls_and_wrong_turns(north):
    seed = maze_with(north, 2)
    right, wrong = (NORTH, SOUTH) if north else (SOUTH, NORTH)
    first, steps = follow(TMaze(2), [WEST, NORTH, EAST, SOUTH, EAST, EAST, WEST, EAST, wrong], seed)
    np.testing.assert_array_equal(first, [0, 1, 1] if north else [1, 1, 0])
    observations = np.stack([s.observation for s in steps])
    junction, corridor = [0, 1, 0], [1, 0, 1]
    np.testing.assert_array_equal(
        observations,
        [first, first, corridor, corridor, junction, junction, corridor, junction, [0, 0, 0]],
    )
    np.testing.assert_allclose(
        [s.reward for s in steps], [-0.1, -0.1, 0, -0.1, 0, -0.1, 0, 0, -0.1], rtol=1e-6
    )
    assert [bool(s.last) for s in steps] == [False] * 8 + [True]
    assert [float(s.discount) for s in steps] == [1] * 8 + [0]
    assert follow(TMaze(2), [EAST, EAST, right], seed)[1][-1].reward == 4


def test_the_t_maze_is_truncated_without_a_turn(play):
    idle = lambda time, observation, memory: (jnp.asarray(WEST), memory)  # noqa: E731
    _, rewards, discounts, _ = play(make("TMaze-10"), idle, 200)
    assert len(rewards) == 110
    assert discounts[-1] == 1
    np.testing.assert_allclose(rewards.sum(), -11, rtol=1e-5)


def recall_policy(shift):
    """A policy that remembers the cue and names it, or the one `shift` further."""

    def policy(time, observation, memory):
        cue = jnp.argmax(observation[:-2]).astype(jnp.int32)
        memory = jnp.where(observation[-2] == 1, cue, memory)
        return (memory + shift) % (observation.shape[0] - 2), memory

    return policy


@pytest.mark.parametrize(("cues", "delay"), [(2, 0), (2, 5), (4, 16)])
def test_the_action_at_the_query_of_recall_has_the_reward(play, cues, delay):
    env, right, wrong = DelayedRecall(delay, cues), recall_policy(0), recall_policy(1)
    for seed in range(4):
        observations, rewards, discounts, _ = play(env, right, delay + 5, seed)
        assert len(rewards) == delay + 2
        assert rewards.sum() == rewards[-1] == 1
        assert discounts[-1] == 0
        assert observations[0, :-2].sum() == observations[0, -2] == 1
        assert observations[delay + 1, -1] == 1
        assert observations.sum() == 3  # the cue and its flag, the query's flag
        assert play(env, wrong, delay + 5, seed)[1].sum() == -1


def test_distraction_appears_only_in_the_delay(play):
    env = DelayedRecall(delay=400, cues=3, distraction=0.5)
    observations, rewards, *_ = play(env, recall_policy(0), 405)
    assert rewards.sum() == 1
    delayed = observations[1:401, :3].sum(1)
    assert set(delayed.tolist()) == {0, 1}
    assert 0.4 < delayed.mean() < 0.6
    assert (observations[1:401, :3].sum(0) > 40).all()
    assert (observations[1:401, 3:] == 0).all()
    certain = play(DelayedRecall(delay=4, cues=3, distraction=1.0), recall_policy(0), 10)[0]
    np.testing.assert_array_equal(certain[:, :3].sum(1), [1, 1, 1, 1, 1, 0, 0])
    for after in (observations[401:], certain[5:]):
        np.testing.assert_array_equal(after, [[0, 0, 0, 0, 1], [0, 0, 0, 0, 0]])


@pytest.mark.parametrize(
    "build",
    [
        lambda: TMaze(0),
        lambda: DelayedRecall(-1),
        lambda: DelayedRecall(5, cues=1),
        lambda: DelayedRecall(5, distraction=1.5),
        lambda: TruncatedValue(steps=0),
    ],
)
def test_invalid_arguments_are_refused(build):
    with pytest.raises(RtrrlError):
        build()


def test_constant_value_is_one_step_of_reward_1():
    first, (step,) = follow(ConstantValue(), [0])
    np.testing.assert_array_equal(first, [1])
    assert (float(step.reward), float(step.discount), bool(step.last)) == (1, 0, True)


def test_one_step_reward_is_for_the_action_of_the_context():
    env = OneStepReward(contexts=3)
    contexts = set()
    for seed in range(12):
        first, _ = follow(env, [], seed)
        contexts.add(int(first.argmax()))
        for action in range(3):
            _, (step,) = follow(env, [action], seed)
            assert step.reward == (action == first.argmax())
            assert (float(step.discount), bool(step.last)) == (0, True)
    assert contexts == {0, 1, 2}


def test_truncated_value_is_as_stated():
    """The fixed points of TD(0) with the discounts of the environment, and with 0 at each end."""
    env, gamma = TruncatedValue(steps=4), 0.9
    first, steps = follow(env, [0] * 4)
    assert {tuple(s.observation.tolist()) for s in steps} == {tuple(first.tolist())} == {(1.0,)}
    assert [bool(s.last) for s in steps] == [False, False, False, True]

    def fixed_point(discounts):
        v = 0.0
        for _ in range(500):
            v = np.mean([float(s.reward) + gamma * d * v for s, d in zip(steps, discounts)])  # noqa: B905
        return v

    right = fixed_point([float(s.discount) for s in steps])
    wrong = fixed_point([1 - float(s.last) for s in steps])
    np.testing.assert_allclose(right, env.value(gamma), rtol=1e-6)
    np.testing.assert_allclose(wrong, env.value_if_terminal(gamma), rtol=1e-6)
    assert right > 3 * wrong


def test_the_continuous_bandit_pays_by_distance():
    env = ContinuousBandit(target=0.5)
    for action, reward in ((0.5, 0), (0.0, -0.25), (-1.0, -2.25)):
        _, (step,) = follow(env, [[action]])
        np.testing.assert_allclose(step.reward, reward)
        assert (float(step.discount), bool(step.last)) == (0, True)


def test_five_step_recall_has_a_delay_of_five_steps(play):
    observations, *_ = play(five_step_recall(), recall_policy(0), 10)
    assert (observations[1:6] == 0).all()
    assert observations[6, -1] == 1
    assert len(observations) == 8
