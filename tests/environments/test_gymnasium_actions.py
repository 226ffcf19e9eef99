"""Actions of Gymnasium's spaces: always contained, every integer reachable, mixtures served."""

import gymnasium
import jax.numpy as jnp
import numpy as np
import pytest
from gymnasium import spaces

import rtrrl
from rtrrl.agents.registry import make_agent
from rtrrl.agents.transfer import for_environment
from rtrrl.cells import MemorylessConfig
from rtrrl.environments import Box, Discrete, Gymnasium, MultiDiscrete, Product, make
from rtrrl.environments.gymnasium.actions import flat_actions
from rtrrl.errors import RtrrlError, UnsupportedSpaceError
from rtrrl.gradients import Immediate
from rtrrl.learning.policies import Joint, WhiteNoise, policy_for
from rtrrl.runs.serialization import label
from rtrrl.training.runners.host import HostRunner
from tests.training.runs import assert_same_run, interrupt_in_slice, interrupted_run

F32, F64, I64 = (np.finfo(np.float32), np.finfo(np.float64), np.iinfo(np.int64))
NESTED = spaces.Dict(
    gear=spaces.Discrete(3, start=1),
    pedals=spaces.Tuple(
        [
            spaces.Box(0, 1, (2, 1), np.float64),
            spaces.Box(10, np.inf, (1,)),
            spaces.Dict(lamps=spaces.MultiBinary(2), level=spaces.Box(-4, 4, (), np.int8)),
            spaces.Tuple([]),
        ]
    ),
    fixed=spaces.Box(5, 5, (1,)),
)
SPACES = [
    spaces.Box(-0.1, 0.1, dtype=np.float64),
    spaces.Box(-0.1, 0.1, (2, 1, 2), np.float16),
    spaces.Box(-0.1, 0.1, (), np.float32),
    spaces.Box(-0.1, 0.1, dtype=np.longdouble),
    spaces.Box(-np.inf, np.inf, dtype=np.float16),
    spaces.Box(10, np.inf, (2,), np.float64),
    spaces.Box(-np.inf, 3),
    spaces.Box(np.array([0, -1, -np.inf, 7]), np.array([0, 1, 3, np.inf]), dtype=np.float64),
    spaces.Box(-1e20, 1e20),
    spaces.Box(F32.min, F32.max),
    spaces.Box(F64.min, F64.max, dtype=np.float64),
    spaces.Box(0.3, 0.1 + 0.2, dtype=np.float64),
    spaces.Box(1.7e9, 1.7e9 + 1, dtype=np.float64),
    spaces.Box(1e17, np.inf, dtype=np.float64),
    spaces.Box(0, 2, dtype=np.int64),
    spaces.Box(0, 255, (2, 2), np.uint8),
    spaces.Box(-7, -3, dtype=np.int8),
    spaces.Box(3, 3, dtype=np.int64),
    spaces.Box(0, 1, (2,), np.bool_),
    spaces.Box(I64.min, I64.max, dtype=np.int64),
    spaces.Box(2**62, 2**62 + 2, dtype=np.int64),
    spaces.Box(0, 2**64 - 1, dtype=np.uint64),
    spaces.Box(-np.inf, np.inf, dtype=np.int32),
    spaces.Box(-(2**31), 2**31 - 1, dtype=np.int32),
    spaces.Discrete(3, start=-2),
    spaces.MultiDiscrete([[2, 3], [1, 4]], np.int8, start=[[-3, 1], [2, 0]]),
    spaces.MultiDiscrete([2, 3], np.uint64, start=[5, 2]),
    spaces.MultiBinary((2, 3)),
    NESTED,
]


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("space", SPACES, ids=str)
def test_every_action_is_contained(space):
    """Whatever the numbers are, also those of an agent that has diverged."""
    flat, to_action = flat_actions(space, "X")
    assert policy_for(flat).action_space == flat
    generator = np.random.default_rng(0)
    for scale in (0.1, 1, 100, 1e30, np.inf, np.nan):
        for _ in range(5):
            if isinstance(flat, Discrete):
                action = generator.integers(flat.n)
            elif isinstance(flat, MultiDiscrete):
                action = generator.integers(flat.sizes)
            else:
                numbers = getattr(flat, "numbers", flat).size
                action = (scale * generator.normal(size=flat.size)).astype(np.float32)
                action[: flat.size - numbers] = 1  # integers are always in their range
            assert space.contains(to_action(action)), action


@pytest.mark.parametrize(
    "space",
    [
        spaces.Box(0, 2, dtype=np.int64),
        spaces.Box(0, 255, dtype=np.uint8),
        spaces.Box(-7, -3, dtype=np.int8),
        spaces.Box(2**62, 2**62 + 2, dtype=np.int64),
        spaces.Box(0, 1, (1,), np.bool_),
    ],
    ids=str,
)
def test_each_integer_has_an_equal_share_of_the_box(space):
    flat, to_action = flat_actions(space, "X")
    count = int(space.high[0]) - int(space.low[0]) + 1
    points = np.linspace(flat.low[0], flat.high[0], 20 * count, endpoint=False) + 1e-3
    reached = [int(to_action(np.array([point]))[0]) - int(space.low[0]) for point in points]
    assert np.bincount(reached).tolist() == [20] * count
    assert to_action(np.array([flat.high[0]])) == space.high


def test_a_new_policy_draws_every_integer():
    flat, to_action = flat_actions(spaces.Box(0, 2, dtype=np.int64), "X")
    policy, y = policy_for(flat), jnp.zeros(2)
    centre, sigma = policy.mode(y), jnp.exp(policy.entropy(y)) / np.sqrt(2 * np.pi * np.e)
    drawn = centre + sigma * np.random.default_rng(0).normal(size=(1000, 1))
    share = np.bincount([to_action(action)[0] for action in np.asarray(drawn)]) / 1000
    np.testing.assert_allclose(share, [0.37, 0.26, 0.37], atol=0.05)


def test_integers_without_bounds_are_themselves():
    for dtype in (np.int32, np.int64):
        flat, to_action = flat_actions(spaces.Box(-np.inf, np.inf, (3,), dtype), "X")
        assert flat == Box.of(-np.inf, np.inf, (3,))
        assert to_action(np.array([-2.6, 0.4, 7.5])).tolist() == [-3, 0, 8]
    half, to_action = flat_actions(spaces.Box(5, np.inf, (1,), np.int64), "X")
    assert half == Box.of(-0.5, np.inf, (1,))
    assert to_action(np.array([2.0])) == 7


def test_a_small_range_far_from_0_is_counted_from_its_bound():
    flat, to_action = flat_actions(spaces.Box(1.7e9, 1.7e9 + 1, dtype=np.float64), "X")
    assert flat == Box.of(0, 1, (1,))
    assert to_action(np.array([0.25], np.float32)) == 1.7e9 + 0.25
    near, _ = flat_actions(spaces.Box(100, 101, dtype=np.float64), "X")
    assert near == Box.of(100, 101, (1,))


def test_integers_and_numbers_together_are_a_product():
    flat, to_action = flat_actions(NESTED, "X")
    low, high = [0, 0, 10, -0.5, 5], [1, 1, np.inf, 8.5, 5]
    assert flat == Product(MultiDiscrete((3, 2, 2)), Box.of(low, high, (5,)))
    action = to_action(np.array([2, 0, 1, 0.25, 1, 12, 8, 5]))
    assert (action["gear"], action["fixed"].tolist()) == (3, [5])
    numbers, half, inner, nothing = action["pedals"]
    assert (numbers.tolist(), half.tolist(), nothing) == ([[0.25], [1]], [12], ())
    assert (inner["lamps"].tolist(), inner["level"]) == ([0, 1], 4)


@pytest.mark.parametrize(
    "space", [spaces.Text(4), spaces.Dict(), spaces.Tuple([spaces.Discrete(2), spaces.Text(3)])]
)
def test_actions_of_other_kinds_are_refused_by_name(space):
    with pytest.raises(UnsupportedSpaceError, match=r"the actions of 'X' are .*: expected Box"):
        flat_actions(space, "X")


class Driving(gymnasium.Env):
    """Rewards the second gear and a speed of 12; asserts that actions are contained.

    Rewards are multiples of 1/64: the order in which they are added does not matter.
    """

    observation_space = spaces.Box(1, 1, (1,))
    action_space = spaces.Tuple([spaces.Discrete(3, start=1), spaces.Box(10, np.inf, (1,))])

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.time = 0
        return np.ones(1, np.float32), {}

    def step(self, action):
        assert self.action_space.contains(action), action
        gear, speed = action
        self.time += 1
        reward = float(gear == 2) - round(64 * min(abs(speed[0] - 12), 5) / 5) / 64
        return np.ones(1, np.float32), reward, False, self.time >= 5, {}


ENVIRONMENT = Gymnasium(Driving)
SMALL = {"cell": MemorylessConfig(), "rule": Immediate()}


def test_a_run_with_both_is_resumed_to_the_same_bits(tmp_path, monkeypatch):
    settings = {"steps": 60, "seeds": 2, "evaluations": 2, "episodes": 1}
    agent = make_agent("default", ENVIRONMENT, **SMALL)
    train = lambda out: rtrrl.train(ENVIRONMENT, agent, out=tmp_path / out, **settings)  # noqa: E731
    train("whole")
    interrupt_in_slice(monkeypatch, HostRunner, 20)
    interrupted_run(lambda: train("cut"))
    monkeypatch.undo()
    rtrrl.resume(tmp_path / "cut", environment=ENVIRONMENT)
    assert_same_run(tmp_path / "cut", tmp_path / "whole")
    assert rtrrl.load(tmp_path / "cut", environment=ENVIRONMENT).agent == agent


def test_parts_of_a_gaussian_are_those_of_the_numbers():
    agent = make_agent("default", ENVIRONMENT, noise="white")
    assert isinstance(agent.policy, Joint)
    assert agent.policy.numbers.noise_process == WhiteNoise()
    assert label(agent, ENVIRONMENT) == "default, policy.numbers.noise_process=WhiteNoise"


def test_settings_of_a_joint_policy_are_kept_in_another_environment():
    agent = make_agent("default", ENVIRONMENT, noise="white")
    other = Gymnasium(lambda: Driving(), title="Other")
    moved = for_environment(agent, other)
    assert (moved.task, moved.policy) == ("Other", agent.policy)
    assert for_environment(moved, make("MountainCarContinuous")).policy.action_space.size == 1


def test_ppo_serves_both_and_the_world_model_refuses_them():
    agent = make_agent("ppo", ENVIRONMENT)
    assert isinstance(agent.policy, Joint)
    with pytest.raises(RtrrlError, match="noise_process must be WhiteNoise"):
        make_agent("ppo", ENVIRONMENT, noise="autoregressive")
    with pytest.raises(RtrrlError, match="a Joint policy has no list of them: expected a Discrete"):
        make_agent("model-based", ENVIRONMENT)
