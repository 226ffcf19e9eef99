"""From an environment's numbers, of whatever size and precision, to float32."""

import gymnasium
import numpy as np
import pytest
from gymnasium import spaces

import rtrrl
from rtrrl.environments import Gymnasium, make
from rtrrl.environments.gymnasium.adapter import LARGEST

ONE = np.array([True])


class Drifting(gymnasium.Env):
    """Observes an offset with a signal of ±1 on it, and the signal alone."""

    observation_space = spaces.Box(-np.inf, np.inf, (2,), np.float64)
    action_space = spaces.Discrete(2)
    offset, dtype, reward = 1.7e9, np.float64, 1.0

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.time = 0
        return self._observation(), {}

    def step(self, action):
        self.time += 1
        return self._observation(), self.reward, False, self.time == 10, {}

    def _observation(self):
        signal = self.np_random.choice([-1, 0, 1])
        return np.array([self.offset + signal, signal], self.dtype)


def changed(**attributes):
    return type("Drifting", (Drifting,), attributes)


def episode(environment, seed=3):
    """The observations of ten steps."""
    envs = environment.make_vector(1)
    first = envs.reset([seed], ONE)
    return np.concatenate([first, *(envs.step(np.array([0])).observation for _ in range(10))])


@pytest.mark.parametrize(
    ("offset", "dtype"),
    [
        (1.7e9, np.float64),
        (-1.7e9, np.float64),
        (1e7, np.float64),
        (1e12, np.float64),
        (1_700_000_000, np.int64),
        (-(2**30), np.int32),
    ],
)
def test_a_small_signal_on_a_large_offset_is_observed(offset, dtype):
    environment = Gymnasium(changed(offset=offset, dtype=dtype))
    observations = episode(environment)
    assert set(observations[:, 1]) == {-1.0, 0.0, 1.0}
    difference = observations[:, 0] - observations[:, 1]
    assert len(set(difference)) == 1
    assert abs(difference[0]) <= 1, "it is what the first observation is measured from"


def test_the_frame_is_the_same_in_every_copy_and_whenever_it_is_made():
    environment = Gymnasium(Drifting)
    envs = environment.make_vector(2)
    both = envs.reset([3, 3], np.ones(2, bool))
    np.testing.assert_array_equal(both[0], both[1])
    for other in (environment, Gymnasium(changed())):  # another class is described anew
        np.testing.assert_array_equal(episode(other)[0], both[0])


def test_the_frame_does_not_depend_on_the_precision_of_later_observations():
    class Mixed(Drifting):
        def step(self, action):
            observation, *rest = super().step(action)
            return observation.astype(np.float32), *rest

    assert np.abs(episode(Gymnasium(Mixed))[:, 0]).max() <= 256, "float32's resolution there"


@pytest.mark.parametrize(
    ("offset", "dtype"),
    [
        (1e4, np.float64),
        (100_000, np.int64),
        (1.7e9, np.float32),
        (60_000, np.uint16),
        (np.inf, np.float64),
    ],
)
def test_what_float32_resolves_or_has_been_rounded_before_is_not_changed(offset, dtype):
    unsigned = np.dtype(dtype).kind == "u"

    class Shifted(Drifting):
        def _observation(self):
            signal = self.np_random.choice([-1, 0, 1]) + 2 * unsigned
            return np.array([offset + signal, signal], dtype)

    observations = episode(Gymnasium(Shifted))
    expected = np.array(offset + observations[:, 1], dtype).astype(np.float32)
    np.testing.assert_array_equal(observations[:, 0], expected)


@pytest.mark.parametrize("name", ["CartPole-v1", "Pendulum-v1", "FrozenLake-v1"])
def test_ordinary_observations_are_rounded_and_nothing_else(name):
    environment, plain = make(f"gymnasium/{name}"), gymnasium.make(name)
    first = gymnasium.wrappers.FlattenObservation(plain).reset(seed=3)[0]
    envs = environment.make_vector(1)
    np.testing.assert_array_equal(envs.reset([3], ONE)[0], first.astype(np.float32))


def test_bounds_and_entries_that_are_kept_are_in_the_same_frame():
    kind = changed(
        observation_space=spaces.Box(
            np.array([1.7e9, -1.0]), np.array([1.7e9 + 64, 1.0]), dtype=np.float64
        )
    )
    space = Gymnasium(kind, keep=(0,)).observation_space
    assert space.high[0] - space.low[0] == 64
    assert abs(space.low[0]) <= 1
    assert np.abs(episode(Gymnasium(kind, keep=(0,)))).max() <= 2


@pytest.mark.parametrize("number", [1e20, -1e20, 1e39, 1e300])
def test_a_finite_number_stays_finite(number):
    class Growing(Drifting):
        reward = number

        def _observation(self):
            return np.array([number * min(self.time, 1), 0.5])

    envs = Gymnasium(Growing).make_vector(1)
    envs.reset([0], ONE)
    timestep = envs.step(np.array([0]))
    assert timestep.observation[0].tolist() == [np.float32(np.sign(number) * LARGEST), 0.5]
    assert timestep.reward[0] == np.float32(np.sign(number) * LARGEST)


def test_an_agent_learns_from_enormous_numbers():
    kind = changed(offset=1e20, reward=-1e20)
    run = rtrrl.train(kind, steps=30, seeds=1, evaluations=1, episodes=1)
    assert run.best.tolist() == [10 * np.float32(-LARGEST)]


@pytest.mark.parametrize("number", [np.nan, np.inf, -np.inf])
def test_nan_and_infinity_stay_what_they_are(number):
    envs = Gymnasium(changed(offset=number, reward=number)).make_vector(1)
    np.testing.assert_array_equal(envs.reset([0], ONE)[0, 0], np.float32(number))
    np.testing.assert_array_equal(envs.step(np.array([0])).reward[0], np.float32(number))
