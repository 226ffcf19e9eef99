from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rtrrl.environments import (
    Box,
    Discrete,
    Environment,
    Flattened,
    Masked,
    Named,
    NoisyObservation,
    ScaledReward,
    TimeLimit,
    TMaze,
    TruncationAsTermination,
    make,
)
from rtrrl.errors import RtrrlError, UnsupportedSpaceError
from rtrrl.types import TimeStep
from tests.probes import ConstantValue, TruncatedValue

KEY = jax.random.key(0)


class Counter(Environment):
    """Counts its steps and terminates at 5; observes an array, an integer or a vector."""

    space: Any = eqx.field(static=True)
    observation_space = property(lambda self: self.space)
    action_space = property(lambda self: Discrete(2))

    def _observe(self, n):
        if isinstance(self.space, Discrete):
            return n
        size = self.space.size
        return (n + jnp.arange(size)).reshape(self.space.shape)

    def reset(self, key):
        n = jnp.zeros((), jnp.int32)
        return n, self._observe(n)

    def step(self, key, state, action):
        n = state + 1
        end = n >= 5
        return n, TimeStep(
            self._observe(n), n.astype(jnp.float32), 1 - end.astype(jnp.float32), end
        )


VECTOR = Counter(Box.of(0, [10, 20, 30], (3,)))
TABLE = Counter(Box.of(0, np.arange(6).reshape(2, 3), (2, 3)))
INTEGER = Counter(Discrete(7))


def walk(env, steps):
    state, observation = env.reset(KEY)
    timesteps = []
    for t in range(steps):
        state, timestep = env.step(jax.random.key(t), state, jnp.asarray(0))
        timesteps.append(timestep)
    return observation, timesteps


def test_masked_keeps_the_entries_in_the_order_given():
    env = Masked(VECTOR, (2, 0))
    first, (after,) = walk(env, 1)
    np.testing.assert_array_equal(first, [2, 0])
    np.testing.assert_array_equal(after.observation, [3, 1])
    assert env.observation_space == Box((2,), (0.0, 0.0), (30.0, 10.0))
    assert env.action_space == Discrete(2)


@pytest.mark.parametrize("keep", [(3,), (-1,), (0, 7)])
def test_masked_refuses_entries_that_do_not_exist(keep):
    with pytest.raises(RtrrlError, match="has entries 0 to 2"):
        Masked(VECTOR, keep)


def test_masked_refuses_an_empty_mask_and_other_spaces_than_vectors():
    with pytest.raises(RtrrlError, match="at least one"):
        Masked(VECTOR, ())
    for env in (TABLE, INTEGER):
        with pytest.raises(UnsupportedSpaceError, match="Flattened"):
            Masked(env, (0,))


def test_time_limit_truncates_and_keeps_terminations():
    _, steps = walk(TimeLimit(VECTOR, 3), 3)
    assert [bool(s.last) for s in steps] == [False, False, True]
    assert [float(s.discount) for s in steps] == [1, 1, 1]
    _, steps = walk(TimeLimit(VECTOR, 5), 5)
    assert [bool(s.last) for s in steps] == [False] * 4 + [True]
    assert steps[-1].discount == 0  # both at once: it is a termination
    with pytest.raises(RtrrlError, match="at least 1"):
        TimeLimit(VECTOR, 0)


def test_time_limit_counts_from_zero_in_each_episode():
    env = TimeLimit(VECTOR, 2)
    for _ in range(2):
        assert [bool(s.last) for s in walk(env, 2)[1]] == [False, True]


def test_scaled_reward_scales_only_the_reward():
    plain, scaled = (walk(env, 5)[1] for env in (VECTOR, ScaledReward(VECTOR, -0.5)))
    for a, b in zip(plain, scaled, strict=True):
        assert b.reward == -0.5 * a.reward
        np.testing.assert_array_equal(a.observation, b.observation)
        assert (a.last, a.discount) == (b.last, b.discount)


def test_noise_has_its_deviation_and_is_drawn_every_step():
    env = NoisyObservation(TMaze(1), 0.3)
    state, first = env.reset(jax.random.key(1))
    clean = TMaze(1).step(KEY, state, jnp.asarray(3))[1].observation
    step = jax.vmap(lambda key: env.step(key, state, jnp.asarray(3))[1].observation)
    noise = np.asarray(step(jax.random.split(jax.random.key(2), 2000))) - np.asarray(clean)
    assert abs(noise.mean()) < 0.02
    np.testing.assert_allclose(noise.std(axis=0), 0.3, rtol=0.06)
    correlation = np.corrcoef(noise.T) - np.eye(3)
    assert np.abs(correlation).max() < 0.1
    # The first observation is noisy too, with other noise in each episode.
    again = env.reset(jax.random.key(5))[1]
    assert not np.isin(np.asarray(first), [0, 1]).any()
    assert not np.isin(np.asarray(first - again), [-1, 0, 1]).any()
    assert env.observation_space == Box.of(-np.inf, np.inf, (3,))


def test_noise_refuses_discrete_observations_and_invalid_deviations():
    with pytest.raises(UnsupportedSpaceError, match="Flattened"):
        NoisyObservation(INTEGER, 0.1)
    for std in (-0.1, float("nan")):
        with pytest.raises(RtrrlError, match="standard deviation"):
            NoisyObservation(TMaze(1), std)


def test_flattened_is_in_row_major_order():
    env = Flattened(TABLE)
    first, (after,) = walk(env, 1)
    np.testing.assert_array_equal(first, [0, 1, 2, 3, 4, 5])
    np.testing.assert_array_equal(after.observation, [1, 2, 3, 4, 5, 6])
    assert first.dtype == after.observation.dtype == jnp.float32
    assert env.observation_space == Box.of(0, [0, 1, 2, 3, 4, 5], (6,))


def test_flattened_makes_an_integer_one_hot():
    env = Flattened(INTEGER)
    first, (after,) = walk(env, 1)
    np.testing.assert_array_equal(first, np.eye(7)[0])
    np.testing.assert_array_equal(after.observation, np.eye(7)[1])
    assert env.observation_space == Box.of(0, 1, (7,))


def test_truncation_as_termination():
    _, steps = walk(TruncationAsTermination(TruncatedValue(steps=3)), 3)
    assert [float(s.discount) for s in steps] == [1, 1, 0]
    assert [bool(s.last) for s in steps] == [False, False, True]
    # A discount that is 0 already stays 0.
    _, (step,) = walk(TruncationAsTermination(ConstantValue()), 1)
    assert step.discount == 0


def test_a_wrapped_environment_has_its_own_name():
    """With the same name, a run would be resumed in the environment without its wrapper."""
    env = ScaledReward(make("TMaze-3"), 100.0)
    assert env.name == "ScaledReward(TMaze-3)"
    assert TimeLimit(env, 5).name == "TimeLimit(ScaledReward(TMaze-3))"
    assert Named(env, "mine").name == "mine"


def test_wrappers_compose_and_compile():
    env = Named(Masked(Flattened(TimeLimit(ScaledReward(TABLE, 2.0), 2)), (5,)), "mine")
    state, first = jax.jit(env.reset)(KEY)
    np.testing.assert_array_equal(first, [5])
    step = jax.jit(env.step)
    state, one = step(KEY, state, jnp.asarray(0))
    state, two = step(KEY, state, jnp.asarray(0))
    np.testing.assert_array_equal(two.observation, [7])
    assert (one.reward, two.reward) == (2, 4)
    assert (bool(one.last), bool(two.last)) == (False, True)
    assert env.name == "mine"
    assert jax.tree.leaves(env) == []
