"""Rollouts: what is recorded, of agents that learn and of frozen ones."""

import equinox as eqx
import gymnasium
import jax
import numpy as np
import pytest

import rtrrl
from rtrrl import RTRRL
from rtrrl.agents import Random
from rtrrl.cells import MemorylessConfig, RTUConfig
from rtrrl.environments import Gymnasium, make
from rtrrl.errors import RtrrlError, UnknownNameError
from rtrrl.gradients import Immediate
from rtrrl.training.rollout import QUANTITIES, rollout
from tests.counting import CountingAgent, PaidAction
from tests.helpers import assert_same_bits, element, run_loop
from tests.members import quick_jit
from tests.probes import TruncatedValue

TASK = "TMaze-3"
HOST = "gymnasium/CartPole-v1"
KEY = jax.random.key(3)
STEPS = 30


def count(steps, **changes):
    """A rollout of the counting agent, whose action is the number of steps before it."""
    agent = CountingAgent()
    return rollout(agent, agent.init(KEY), PaidAction(), steps, **changes)


@pytest.fixture(scope="module")
def agent():
    return RTRRL.default(TASK, cell=RTUConfig(hidden_size=4))


@pytest.fixture(scope="module")
def state(agent):
    return quick_jit(agent.init)(KEY)


@pytest.fixture(scope="module")
def learning(agent, state):
    """All quantities of an agent that learns."""
    return rollout(agent, state, TASK, STEPS, record=tuple(QUANTITIES), key=KEY)


# --- rows ---------------------------------------------------------------------------------------


def test_a_row_holds_an_action_and_its_consequence():
    arrays = count(7, record=("action", "reward", "last", "discount", "td_error", "entropy"))
    assert list(arrays) == ["action", "reward", "last", "discount", "td_error", "entropy"]
    assert arrays["action"].tolist() == [0, 1, 2, 3, 4, 5, 6]
    assert arrays["reward"].tolist() == [0, 1, 0, 0, 4, 0, 0]
    assert arrays["last"].tolist() == [False, False, True, False, False, True, False]
    assert arrays["discount"].tolist() == [1, 1, 0, 1, 1, 0, 1]
    assert arrays["td_error"].tolist() == [2] * 7
    assert arrays.first == {name: (name == "discount") + 0 for name in arrays} | {"entropy": 0}
    assert arrays.state.count == 7


def test_the_default_record():
    assert list(count(1)) == ["action", "reward", "td_error", "value"]


def test_functions_of_a_step_by_names_of_ones_own():
    arrays = count(
        4,
        record={
            "both": lambda step: {"count": step.agent_state.count, "time": step.env_state},
            "reward": QUANTITIES["reward"],
        },
    )
    # the states after the action; the environment begins its next episode after it is recorded
    assert arrays["both"]["count"].tolist() == [1, 2, 3, 4]
    assert arrays["both"]["time"].tolist() == [1, 2, 3, 1]
    assert arrays["reward"].tolist() == [0, 1, 0, 0]
    assert (arrays.first["both"]["count"], arrays.first["both"]["time"]) == (0, 0)


def test_every_quantity_of_an_agent_that_learns(learning, state):
    assert set(learning) == set(QUANTITIES)
    for leaf in jax.tree.leaves(dict(learning)):
        assert leaf.shape[0] == STEPS
    assert learning["observation"].shape == (STEPS, 3)
    assert learning["h"].shape == (STEPS, 2, 4)
    assert learning.first["observation"].shape == (3,)
    assert learning.first["reward"] == learning.first["td_error"] == 0
    for name in ("params", "traces", "influence"):
        assert jax.tree.structure(learning[name]) == jax.tree.structure(getattr(state, name))
        leaves = jax.tree.leaves(eqx.filter(learning[name], eqx.is_inexact_array))
        expected = np.sqrt(sum((leaf.reshape(STEPS, -1) ** 2).sum(axis=1) for leaf in leaves))
        np.testing.assert_allclose(learning[f"{name}_norm"], expected, rtol=1e-4)
    assert_same_bits(element(learning["agent_state"], -1), learning.state)
    assert_same_bits(learning["params"], learning["agent_state"].params)


def test_an_unknown_quantity_is_refused_with_similar_ones(agent, state):
    with pytest.raises(UnknownNameError, match="unknown quantity 'rewards': did you mean reward"):
        rollout(agent, state, TASK, 5, record=("rewards",))


def test_a_quantity_that_an_agent_lacks_is_refused(agent, state):
    message = "FrozenActorCritic lacks a recorded quantity: its state has no 'traces'"
    frozen = agent.frozen(state)
    with pytest.raises(RtrrlError, match=message):
        rollout(frozen, frozen.init(KEY), TASK, 5, record=("traces_norm",))
    random = Random.uniform(HOST)
    with pytest.raises(RtrrlError, match=r"Random lacks .* its state has no 'last'"):
        rollout(random, random.init(KEY), HOST, 5, record=("h",))


@pytest.mark.parametrize("changes", [{"steps": 0}, {"steps": 5, "episodes": 0}])
def test_less_than_one_step_or_episode_is_refused(changes):
    with pytest.raises(RtrrlError, match="is 0: it must be 1 or more"):
        count(**changes)


# --- episodes -----------------------------------------------------------------------------------


@pytest.mark.parametrize(("episodes", "length"), [(1, 3), (2, 6), (5, 10)])
def test_a_number_of_episodes_ends_the_rollout_if_it_is_before_the_steps(episodes, length):
    arrays = count(10, record=("reward", "last"), episodes=episodes)
    assert arrays["reward"].shape == arrays["last"].shape == (length,)
    assert arrays["last"].sum() == min(episodes, 3)


@pytest.mark.parametrize("episodes", [1, 2, 100])
def test_a_number_of_episodes_in_a_host_environment(episodes):
    random = Random.uniform(HOST)
    arrays = rollout(
        random, random.init(KEY), HOST, 60, record=("reward", "last"), key=KEY, episodes=episodes
    )
    assert len(arrays["reward"]) == len(arrays["last"])
    if episodes == 100:
        assert len(arrays["last"]) == 60
    else:
        assert arrays["last"].sum() == episodes
        assert arrays["last"][-1]


# --- learning and frozen agents -----------------------------------------------------------------


def test_an_agent_learns_and_a_frozen_one_does_not(learning, agent, state):
    assert (np.diff(learning["params_norm"]) != 0).any()
    assert (learning.state.params.critic.weight != state.params.critic.weight).any()
    frozen = agent.frozen(state)
    runs = [rollout(frozen, frozen.init(KEY), TASK, STEPS, key=KEY) for _ in range(2)]
    assert_same_bits(dict(runs[0]), dict(runs[1]))
    assert_same_bits(frozen.params, state.params)


def test_the_key_decides(learning, agent, state):
    again = rollout(agent, state, TASK, STEPS, record=tuple(QUANTITIES), key=KEY)
    assert_same_bits(dict(again), dict(learning))
    record = tuple(QUANTITIES)
    other = rollout(agent, state, TASK, STEPS, record=record, key=jax.random.key(4))
    assert (other["observation"] != learning["observation"]).any()


def test_the_first_episode_is_that_of_evaluate(agent, state):
    environment, frozen = make(TASK), agent.frozen(state)
    expected = rtrrl.evaluate(agent, state, environment, KEY, episodes=1)
    key = jax.random.split(KEY, 1)[0]
    initial = frozen.init(jax.random.split(key, 3)[0])
    arrays = rollout(frozen, initial, environment, 200, record=("reward",), key=key, episodes=1)
    assert len(arrays["reward"]) < 200
    np.testing.assert_allclose(arrays["reward"].sum(), expected[0], rtol=1e-6)


def test_the_first_episode_on_the_host_is_that_of_evaluate():
    agent = Random.uniform(HOST)
    expected = rtrrl.evaluate(agent, agent.init(KEY), HOST, KEY, episodes=1)
    initial = agent.init(jax.random.fold_in(KEY, 0))
    arrays = rollout(agent, initial, HOST, 500, record=("reward",), key=KEY, episodes=1)
    assert arrays["reward"].sum() == expected[0]


def test_an_agent_learns_as_in_the_training_loop():
    """Where the environment does not use its keys, so that the keys need not be the same."""
    environment = TruncatedValue(steps=4)
    agent = RTRRL.paper(environment, cell=MemorylessConfig(hidden_size=2), rule=Immediate())
    _, after = run_loop(agent, environment, STEPS)
    expected = element(after, 0).agent_state
    # the key of the agent in `run_loop`
    key = jax.random.split(jax.random.split(jax.random.key(0), 1)[0], 3)[0]
    got = rollout(agent, agent.init(key), environment, STEPS, record=()).state
    for a, b in zip(jax.tree.leaves(got.params), jax.tree.leaves(expected.params), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6)
    assert got.steps == expected.steps
    np.testing.assert_allclose(got.value, expected.value, rtol=1e-4)


def test_an_agent_learns_in_a_host_environment():
    agent = RTRRL.paper(HOST, cell=MemorylessConfig(hidden_size=2), rule=Immediate())
    record = ("params_norm", "observation")
    arrays = rollout(agent, quick_jit(agent.init)(KEY), HOST, 12, record=record, key=KEY)
    assert arrays["observation"].shape == (12, 4)
    assert arrays["params_norm"].shape == (12,)
    assert len(set(arrays["params_norm"].tolist())) > 6


class Screen(gymnasium.Env):
    """An environment whose image shows how many steps it has made."""

    observation_space = gymnasium.spaces.Box(0, 1, (1,))
    action_space = gymnasium.spaces.Discrete(2)
    metadata = {"render_modes": ["rgb_array"]}  # noqa: RUF012

    def __init__(self, render_mode=None):
        self.render_mode = render_mode

    def reset(self, *, seed=None, options=None):
        self._time = 0
        return np.zeros(1, np.float32), {}

    def step(self, action):
        self._time += 1
        return np.zeros(1, np.float32), 0.0, False, False, {}

    def render(self):
        return np.full((2, 4, 3), self._time, np.uint8)


def test_images_of_a_host_environment():
    agent = Random.uniform(Gymnasium(Screen))
    record = {"image": lambda step: step.env_state.render()}
    arrays = rollout(agent, agent.init(KEY), Gymnasium(Screen), 2, record=record, render=True)
    assert arrays["image"].shape == (2, 2, 4, 3)
    assert arrays["image"][:, 0, 0, 0].tolist() == [1, 2]
    assert arrays.first["image"].max() == 0
