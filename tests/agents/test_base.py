"""What an agent is given: observations, rewards, states and keys of the right kind."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import rtrrl
from rtrrl import RTRRL
from rtrrl.agents.registry import make_agent
from rtrrl.cells import MemorylessConfig
from rtrrl.errors import RtrrlError, UnknownNameError
from rtrrl.gradients import Immediate

pytestmark = pytest.mark.usefixtures("unchecked")
TASK = "TMaze-3"
SMALL = {"cell": MemorylessConfig(hidden_size=2), "rule": Immediate()}


def traced(agent, *numbers):
    """The shapes of the state and the action after a `begin`, or with several numbers a `step`."""
    state = jax.eval_shape(agent.init, jax.random.key(0))
    method = agent.begin if len(numbers) == 1 else agent.step
    return jax.eval_shape(lambda state: method(state, *numbers)[:2], state)


@pytest.mark.parametrize("name", ["default", "ppo", "model-based", "frozen"])
@pytest.mark.parametrize(
    ("numbers", "message"),
    [
        ([jnp.zeros(5)], "the observation is float32[5]: expected numbers of shape (3,), as in TM"),
        ([0.0], "the observation is 0.0: expected numbers of shape (3,), as in TMaze-3"),
        ([{"a": jnp.zeros(3)}], "the observation is a dict of 1: expected numbers of shape (3,)"),
        ([jnp.zeros(5), 0.0, 1.0], "the observation is float32[5]: expected numbers of shape (3,)"),
        ([jnp.zeros(3), jnp.zeros(1), 1.0], "the reward is float32[1]: expected one number"),
        ([jnp.zeros(3), None, 1.0], "the reward is None: expected one number"),
        ([jnp.zeros(3), 0.0, np.ones(2)], "the discount is float64[2]: expected one number"),
    ],
)
def test_what_is_not_an_observation_or_a_reward_is_refused(name, numbers, message):
    agent = RTRRL.paper(TASK, **SMALL) if name == "frozen" else make_agent(name, TASK)
    if name == "frozen":
        agent = agent.frozen(jax.jit(agent.init)(jax.random.key(0)))
    with pytest.raises(RtrrlError, match=re.escape(message)) as refusal:
        traced(agent, *numbers)
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize(
    "numbers",
    [
        ([0.0, 1, 0], 1, True),
        (np.zeros(3), np.float64(1), np.int64(1)),
        (np.zeros(3, np.uint8), jnp.array(1), 1.0),
    ],
)
def test_numbers_of_python_and_numpy_are_taken(numbers):
    agent = RTRRL.paper(TASK, meta_input=False, **SMALL)
    expected = traced(agent, jnp.zeros(3))
    assert traced(agent, numbers[0]) == traced(agent, *numbers) == expected


def test_a_state_or_key_of_another_kind_is_refused():
    agent, key = RTRRL.paper(TASK, **SMALL), jax.random.key(0)
    state = jax.jit(agent.init)(key)
    frozen = agent.frozen(state)
    for wrong, message in (
        ((agent, None), "the state is None: expected a RTRRLState, as RTRRL.init or training"),
        ((agent, state.params), "the state is a ParameterGroups: expected a RTRRLState"),
        ((frozen, state), "the state is an? RTRRLState: expected a FrozenState"),
        ((state, agent), "the agent is an? RTRRLState: expected an Agent, such as"),
    ):
        with pytest.raises(RtrrlError, match=message):
            rtrrl.evaluate(*wrong, TASK, key)
        with pytest.raises(RtrrlError, match=message):
            rtrrl.rollout(*wrong, TASK, 3)
    for wrong in (0, "0", jnp.zeros(2)):
        with pytest.raises(RtrrlError, match=r"the key is .*: expected a key, such as jax.random"):
            rtrrl.evaluate(agent, state, TASK, wrong)
    for changes in ({"episodes": 0}, {"episodes": 2.5}, {"max_episode_steps": 0}):
        with pytest.raises(RtrrlError, match=f"{next(iter(changes))} is .*: it must be"):
            rtrrl.evaluate(agent, state, TASK, key, **changes)


def test_a_setting_that_does_not_exist_is_refused_with_similar_ones():
    for make in (RTRRL.default, lambda *given, **changes: make_agent("paper", *given, **changes)):
        with pytest.raises(UnknownNameError, match=r"unknown setting of RTRRL 'gama': .*gamma"):
            make(TASK, gama=0.9)


@pytest.mark.parametrize("environment", [3, None, RTRRL.paper(TASK)])
def test_what_is_not_an_environment_is_refused(environment):
    for make in (RTRRL.default, lambda given: make_agent("random", given)):
        with pytest.raises(RtrrlError, match=r"cannot use .* as an environment: expected the name"):
            make(environment)
