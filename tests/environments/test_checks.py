"""Environments of a user's own: what is accepted, and what is refused in one line."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import rtrrl
from rtrrl import RTRRL
from rtrrl.environments import Box, Environment, Flattened, TimeLimit, make
from rtrrl.environments.checks import checked
from rtrrl.environments.spaces import Discrete
from rtrrl.errors import RtrrlError
from rtrrl.types import TimeStep

pytestmark = pytest.mark.usefixtures("unchecked")
ONE = jnp.ones(())


class Counter(Environment):
    """Three steps of reward 1; subclasses change one thing."""

    @property
    def observation_space(self):
        return Box.of(-1, 1, (2,))

    @property
    def action_space(self):
        return Discrete(2)

    def reset(self, key):
        return jnp.zeros((), jnp.int32), jnp.zeros(2)

    def step(self, key, state, action):
        return state + 1, TimeStep(jnp.zeros(2), ONE, ONE, state >= 2)


def changed(**members):
    return type("Mine", (Counter,), members)()


def stepping(**fields):
    """A step with other fields of its time step."""

    def step(self, key, state, action):
        usual = {"observation": jnp.zeros(2), "reward": ONE, "discount": ONE, "last": state >= 2}
        return state + 1, TimeStep(**usual | fields)

    return changed(step=step)


REFUSED = {
    "a time step alone": (
        changed(step=lambda self, key, state, action: TimeStep(jnp.zeros(2), ONE, ONE, state > 2)),
        "Mine.step returns a TimeStep: expected (state, TimeStep(observation, reward, discount, ",
    ),
    "a tuple": (
        changed(step=lambda self, key, state, action: (state, jnp.zeros(2), ONE, ONE)),
        "Mine.step returns a tuple of 4: expected (state, TimeStep(",
    ),
    "Gymnasium's five": (
        changed(step=lambda self, key, state, action: (jnp.zeros(2), ONE, False, False, {})),
        "Mine.step returns a tuple of 5: expected (state, TimeStep(",
    ),
    "the observation alone": (
        changed(reset=lambda self, key: jnp.zeros(2)),
        "Mine.reset returns float32[2]: expected (state, observation)",
    ),
    "reset without key": (
        changed(reset=lambda self: (0, jnp.zeros(2))),
        "Mine.reset takes other arguments: expected reset(self, key)",
    ),
    "step without key": (
        changed(step=lambda self, state, action: None),
        "Mine.step takes other arguments: expected step(self, key, state, action)",
    ),
    "reward of one entry": (
        stepping(reward=jnp.ones(1)),
        "the reward that Mine.step returns is float32[1]: expected one number",
    ),
    "reward that is None": (
        stepping(reward=None),
        "the reward that Mine.step returns is None: expected one number",
    ),
    "bool as discount": (
        stepping(discount=jnp.array(True)),
        "the discount that Mine.step returns is bool[]: expected one number, 0 at a terminal state",
    ),
    "integer as last": (
        stepping(last=jnp.array(1)),
        "`last` that Mine.step returns is int32[]: expected one bool",
    ),
    "shape of the observation": (
        stepping(observation=jnp.zeros(3)),
        "the observation that Mine.step returns is float32[3]: expected numbers of shape (2,), as "
        "its observation_space is Box(2)",
    ),
    "observation of several parts": (
        stepping(observation={"a": jnp.zeros(2)}),
        "the observation that Mine.step returns is a dict of 1: expected numbers of shape (2,)",
    ),
    "dtype of the state": (
        changed(
            step=lambda self, key, state, action: (
                {"t": state["t"] + 0.5},
                TimeStep(jnp.zeros(2), ONE, ONE, state["t"] > 2),
            ),
            reset=lambda self, key: ({"t": 0}, jnp.zeros(2)),
        ),
        "the state['t'] of Mine is int32[] after reset and float32[] after step: keep its dtype",
    ),
    "structure of the state": (
        changed(
            reset=lambda self, key: ((0, 0), jnp.zeros(2)),
            step=lambda self, key, state, action: (
                state[0],
                TimeStep(jnp.zeros(2), ONE, ONE, state[0] > 2),
            ),
        ),
        "the state of Mine has the structure (*, *) after reset and * after step",
    ),
    "text in the state": (
        changed(reset=lambda self, key: ("left", jnp.zeros(2))),
        "the state that Mine.reset returns holds 'left': expected arrays and numbers",
    ),
    "another error": (
        changed(step=lambda self, key, state, action: 1 / 0),
        "Mine.step fails: ZeroDivisionError: division by zero (test_checks.py, line ",
    ),
    "Python's if": (
        changed(step=lambda self, key, state, action: None if state > 2 else state),
        "Mine.step cannot be compiled: Python needs the value of an array (test_checks.py, line ",
    ),
    "NumPy": (
        changed(step=lambda self, key, state, action: np.sin(state)),
        "Mine.step cannot be compiled: Python needs the value of an array",
    ),
    "no space": (
        changed(observation_space=property(lambda self: 3)),
        "Mine.observation_space is 3: expected a space of rtrrl.environments, such as Box.of(",
    ),
    "a space that fails": (
        changed(action_space=property(lambda self: {}["n"])),
        "Mine.action_space fails: KeyError: 'n'",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_an_environment_may_not_do_is_refused_in_one_line(case):
    environment, message = REFUSED[case]
    for wrapped in (environment, TimeLimit(environment, 5)):
        with pytest.raises(RtrrlError, match=re.escape(message)) as refusal:
            checked(wrapped)
        assert "\n" not in str(refusal.value)


ACCEPTED = {
    "Python number in the state": changed(reset=lambda self, key: (0, jnp.zeros(2))),
    "Python float in the state": changed(reset=lambda self, key: (0.0, jnp.zeros(2))),
    "NumPy in the state": changed(reset=lambda self, key: (np.int32(0), np.zeros(2))),
    "Python numbers in the time step": stepping(reward=1, discount=1.0, last=True),
    "bool as reward": stepping(reward=jnp.array(True)),
    "integers as observation": stepping(observation=jnp.zeros(2, int)),
    "list as observation": stepping(observation=[0, 0.0]),
}


@pytest.mark.parametrize("case", ACCEPTED)
def test_numbers_become_arrays(case):
    environment = checked(TimeLimit(ACCEPTED[case], 5))
    assert environment.name == "TimeLimit(Mine)"
    key = jax.random.key(0)
    state, observation = environment.reset(key)
    after, timestep = environment.step(key, state, jnp.array(0))
    types = lambda tree: jax.tree.map(lambda leaf: (leaf.shape, leaf.dtype), tree)  # noqa: E731
    assert types(state) == types(after)
    assert types(observation) == types(timestep.observation) == ((2,), np.float32)
    assert types((timestep.reward, timestep.discount)) == (((), np.float32),) * 2
    assert types(timestep.last) == ((), np.bool_)


def test_an_environment_with_a_python_number_in_its_state_is_trained_and_evaluated():
    environment = ACCEPTED["Python number in the state"]
    settings = {"steps": 7, "seeds": 1, "evaluations": 1, "episodes": 1, "workers": 1}
    run = rtrrl.train(environment, "random", **settings)
    assert run.best.tolist() == [3]
    assert run.config["task"] == "Mine"


def test_environments_of_rtrrl_are_not_looked_at(monkeypatch):
    monkeypatch.setattr(jax, "eval_shape", None)
    for environment in (make("TMaze-3"), Flattened(TimeLimit(make("CartPole-vel"), 9))):
        assert checked(environment) is environment


def use(name, agent, environment):
    """`rtrrl.train`, `evaluate` or `rollout` of the agent in the environment."""
    arguments = {
        "train": (environment, agent),
        "evaluate": (agent, None, environment, jax.random.key(0)),
        "rollout": (agent, None, environment, 3),
    }
    return getattr(rtrrl, name)(*arguments[name])


each_use = pytest.mark.parametrize("name", ["train", "evaluate", "rollout"])


@each_use
def test_an_environment_is_checked_wherever_it_is_used(name):
    environment, message = REFUSED["a tuple"]
    with pytest.raises(RtrrlError, match=re.escape(message)):
        use(name, RTRRL.paper(environment), environment)


@each_use
@pytest.mark.parametrize(
    ("task", "message"),
    [
        ("TMaze-3", "made for observations of 2 numbers, and those of TMaze-3 have 3: make it"),
        (
            "MountainCarContinuous",
            r"for the actions Discrete\(2\), and those of .* are Box\(1\): make",
        ),
        ("gymnasium/CartPole-v1", "made for observations of 2 numbers"),
    ],
)
def test_an_agent_of_another_environment_is_refused(name, task, message):
    with pytest.raises(RtrrlError, match=message):
        use(name, RTRRL.paper(Counter()), make(task))


@each_use
@pytest.mark.parametrize(
    ("agent", "kind"), [(RTRRL, "the class RTRRL"), (3, "3"), ({}, "a dict of 0"), ((), "a tuple")]
)
def test_what_is_not_an_agent_is_refused(name, agent, kind):
    with pytest.raises(RtrrlError, match=f"^the agent is {kind}.*: expected an Agent, such as"):
        use(name, agent, make("TMaze-3"))
