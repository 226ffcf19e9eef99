"""What a Gymnasium environment may return, and the one line where it breaks a rule of the API."""

import gymnasium
import numpy as np
import pytest
from gymnasium import spaces

import rtrrl
from rtrrl.environments import Gymnasium
from rtrrl.environments.gymnasium.observations import flat_observations
from rtrrl.errors import RtrrlError

ONE = np.array([True])


class Plain(gymnasium.Env):
    """Two numbers, one action; `first` and `rest` are what reset and step return."""

    observation_space = spaces.Box(-1, 1, (2,))
    action_space = spaces.Discrete(2)
    first = (np.zeros(2), {})
    observation, reward, terminated, truncated, info = np.zeros(2), 1.0, False, False, {}

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        return self.first

    def step(self, action):
        return self.observation, self.reward, self.terminated, self.truncated, self.info


def changed(**attributes):
    """A subclass of `Plain` with other attributes."""
    return type("Plain", (Plain,), attributes)


def one_step(kind):
    envs = Gymnasium(kind).make_vector(1)
    envs.reset([0], ONE)
    return envs.step(np.array([0]))


def without_arguments(self):
    return np.zeros(2), {}


def without_options(self, *, seed=None):
    return np.zeros(2), {}


BROKEN = {
    "observation alone": (
        {"first": np.zeros(2)},
        r"reset returns array.*not a tuple; expected \(obs",
    ),
    "no tuple": ({"first": None}, r"reset returns None, which is not a tuple; expected \(obs"),
    "three from reset": ({"first": (1, 2, 3)}, r"reset returns 3 values; expected \(observation"),
    "no info from reset": (
        {"first": (np.zeros(2), None)},
        "info of reset is None; expected a dict",
    ),
    "no info": ({"info": None}, "the info of step is None; expected a dict"),
    "shape": ({"observation": np.zeros(3)}, r"observation has shape \(3,\); expected \(2,\)"),
    "first shape": ({"first": (np.zeros((2, 2)), {})}, r"has shape \(2, 2\); expected \(2,\)"),
    "ragged": ({"observation": [[1], [1, 2]]}, "the observation is .*; expected an array"),
    "text": ({"observation": "up"}, r"the observation is 'up'; expected numbers of shape \(2,\)"),
    "complex": ({"observation": np.zeros(2, complex)}, "the observation is .*; expected numbers"),
    "None": ({"observation": None}, "the observation is None; expected numbers"),
    "text reward": ({"reward": "1"}, "the reward is '1'; expected one number"),
    "no reward": ({"reward": None}, "the reward is None; expected one number"),
    "two rewards": ({"reward": np.ones(2)}, "the reward is .*; expected one number"),
    "complex reward": ({"reward": 1j}, "the reward is 1j; expected one number"),
    "terminated": ({"terminated": "no"}, "terminated is 'no'; expected True or False"),
    "fraction": ({"truncated": 0.5}, "truncated is 0.5; expected True or False"),
    "no truth": ({"terminated": None}, "terminated is None; expected True or False"),
    "seed": ({"reset": without_arguments}, "reset of Plain: got an unexpected keyword.*'seed'"),
    "options": ({"reset": without_options}, "reset of Plain: .*'options'; expected reset"),
    "no observations": ({"observation_space": None}, "its observation_space is None; expected one"),
    "no actions": ({"action_space": (2,)}, r"its action_space is \(2,\); expected one of gymnas"),
    "four": (
        {"step": lambda self, action: (np.zeros(2), 1.0, False, {})},
        r"step returns 4 values, as before Gym 0.26; expected \(observation, reward, terminated",
    ),
}


@pytest.mark.parametrize("what", BROKEN)
def test_a_broken_rule_is_one_line_with_the_environment_and_what_is_expected(what):
    attributes, message = BROKEN[what]
    with pytest.raises(
        RtrrlError, match=f"'Plain' breaks a rule of Gym.* API: .*{message}"
    ) as error:
        one_step(changed(**attributes))
    assert "\n" not in str(error.value)


def test_a_missing_space_or_an_old_reset_behind_wrappers_is_found():
    class NoSpace(gymnasium.Env):
        action_space = spaces.Discrete(2)

    kind = changed(reset=without_options)
    for source, message in (
        (NoSpace, "its observation_space is None"),
        (lambda: gymnasium.wrappers.ClipReward(NoSpace(), 0, 1), "its observation_space is None"),
        (lambda: gymnasium.wrappers.ClipReward(kind(), 0, 1), "reset of Plain: .*'options'"),
    ):
        with pytest.raises(RtrrlError, match=message):
            Gymnasium(source)


def test_an_attribute_env_that_is_no_wrapped_environment_is_not_checked():
    kind = changed(env="the bench")
    assert Gymnasium(kind).observation_space.size == 2


@pytest.mark.parametrize(
    ("reward", "number"),
    [
        (np.array([2.0]), 2.0),
        (np.array([[2]]), 2.0),
        (np.array(2.0), 2.0),
        (np.float64(2.0), 2.0),
        (np.float16(2.0), 2.0),
        (2, 2.0),
        (True, 1.0),
        (np.True_, 1.0),
        ([2.0], 2.0),
    ],
)
def test_a_reward_is_any_one_number(reward, number):
    timestep = one_step(changed(reward=reward))
    assert timestep.reward.tolist() == [number]
    assert (timestep.reward.dtype, timestep.reward.shape) == (np.float32, (1,))


@pytest.mark.parametrize(
    "truth", [True, np.True_, np.array(True), np.array([True]), 1, np.int64(1)]
)
def test_an_end_is_anything_that_is_true_or_false(truth):
    assert one_step(changed(terminated=truth)).discount.tolist() == [0.0]
    assert one_step(changed(truncated=truth)).last.tolist() == [True]


@pytest.mark.parametrize(
    "observation",
    [
        np.array([0.5, 2.0]),
        np.array([0.5, 2.0], np.float16),
        [0.5, 2.0],
        (0.5, np.float32(2.0)),
        np.array([[0.5], [2.0]]),
        np.array([[0.5, 2.0]]),
    ],
)
def test_an_observation_may_be_of_another_precision_or_outside_its_bounds(observation):
    timestep = one_step(changed(observation=observation))
    np.testing.assert_array_equal(timestep.observation, np.array([[0.5, 2.0]], np.float32))
    assert timestep.observation.dtype == np.float32


@pytest.mark.parametrize(
    ("space", "observation", "message"),
    [
        (spaces.Discrete(3, start=5), 4, "the observation is 4; expected an integer from 5 to 7"),
        (spaces.Discrete(3), 3, "expected an integer from 0 to 2"),
        (spaces.Discrete(3), -1, "expected an integer from 0 to 2"),
        (spaces.Discrete(3), 1.0, "the observation is 1.0; expected an integer"),
        (spaces.Discrete(3), [0, 1], "expected an integer from 0 to 2"),
        (spaces.MultiDiscrete([2, 3]), [0, 3], r"from \[0, 0\] to \[1, 2\]"),
        (spaces.MultiDiscrete([2, 3]), [0], r"expected integers of shape \(2,\)"),
        (spaces.MultiBinary(2), [0], r"has shape \(1,\); expected \(2,\)"),
        (spaces.Dict(a=spaces.Discrete(2)), {"b": 0}, "the observation lacks the entry 'a'"),
        (spaces.Dict(a=spaces.Discrete(2)), 0, r"the observation is 0; expected a dict with .*'a'"),
        (spaces.Dict(a=spaces.Discrete(2)), {"a": 2}, r"observation\['a'\] is 2; expected an int"),
        (spaces.Tuple([spaces.Discrete(2)]), (0, 1), "has 2 parts; expected a tuple of 1"),
        (spaces.Tuple([spaces.Discrete(2)]), (2,), r"observation\[0\] is 2; expected an integer"),
    ],
)
def test_an_observation_outside_its_space_is_one_line(space, observation, message):
    kind = changed(observation_space=space, first=(observation, {}))
    with pytest.raises(RtrrlError, match=f"'Plain' breaks a rule of Gymnasium's API: .*{message}"):
        Gymnasium(kind)


@pytest.mark.parametrize("index", [1, np.int64(1), np.uint64(1), np.array(1), np.array([1]), True])
def test_an_integer_observation_is_one_hot_whatever_its_form(index):
    small = spaces.MultiDiscrete(np.array([3], np.uint8), np.uint8)
    for space in (spaces.Discrete(3), small):
        _, to_vector = flat_observations(space, "X")
        assert to_vector(index).tolist() == [0, 1, 0]


def test_numbers_keep_their_fractions_in_a_space_of_integers():
    _, to_vector = flat_observations(spaces.Box(0, 255, (2,), np.uint8), "X")
    assert to_vector([0.5, 3]).tolist() == [0.5, 3.0]


class Informed(Plain):
    """`info` has another shape in each copy and step, and entries that cannot be sent."""

    made = 0

    def __init__(self):
        Informed.made += 1
        self.number, self.time = Informed.made, 0

    def step(self, action):
        self.time += 1
        info = {"x": np.zeros(self.number + self.time), self.number: lambda: 0, "terminal": None}
        return np.zeros(2), 1.0, False, self.time % 5 == 0, info


def test_infos_that_differ_are_not_read():
    run = rtrrl.train(Informed, "random", steps=6, seeds=3, evaluations=1, episodes=1)
    assert run.best.tolist() == [5.0] * 3
