"""Float settings are arguments of compiled programs, not constants in them."""

import dataclasses
import math

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import rtrrl
from rtrrl.agents.registry import PRESETS, make_agent
from rtrrl.agents.tracing import with_traced_settings
from rtrrl.cells import RTUConfig
from rtrrl.environments import make
from rtrrl.learning.exploration_bonus import Novelty
from rtrrl.learning.optimizers import Adam
from rtrrl.learning.traces import Dutch
from rtrrl.training.loop import init_seed, train_steps
from rtrrl.utils import traced_programs
from tests.counting import CountingAgent
from tests.helpers import assert_same_bits
from tests.training.runs import TASK, small_agent, train_small

SHORT = {"steps": 90, "evaluations": 3, "episodes": 2}


class UsersTrace(Dutch):
    """A part that branches on a setting, and holds one."""

    sharp: float = 0.5

    def __call__(self, trace, gradient, decay):
        return super().__call__(trace, gradient, decay) if self.step_size > 0 else gradient


class UsersAgent(rtrrl.RTRRL):
    """An agent that branches on a setting."""

    def step(self, state, observation, reward, discount):
        if self.optimizer.learning_rate == 0:
            raise AssertionError
        return super().step(state, observation, reward, discount)


@pytest.mark.usefixtures("unchecked")
def test_floats_that_do_not_shape_the_program_become_arrays():
    agent = rtrrl.RTRRL.default(TASK, gamma=1, trace=UsersTrace())
    traced = with_traced_settings(agent, (3,))
    np.testing.assert_array_equal(traced.gamma, np.ones(3, np.float32))
    np.testing.assert_array_equal(traced.optimizer.learning_rate, np.full(3, 5e-4, np.float32))
    assert traced.cell.eigenvalues.longest.shape == traced.inputs.bonus.scale.shape == (3,)
    constant = ("policy", "trace", "meta_input", "attenuate", "optimizer.clip")
    for path in (*constant, "cell.hidden_size", "cell.eigenvalue_lr_scale"):
        ours, theirs = agent, traced
        for name in path.split("."):
            ours, theirs = getattr(ours, name), getattr(theirs, name)
        assert ours == theirs


def test_nothing_in_an_agent_of_a_user_becomes_an_array():
    agent = UsersAgent.paper(TASK)
    assert with_traced_settings(agent, (3,)) == agent
    assert with_traced_settings(CountingAgent(cap=3.0)).cap == 3.0


@pytest.mark.usefixtures("unchecked")
def test_arrays_keep_their_entries():
    rates, one = jnp.array([1, 2]), jnp.array(0.5)
    agent = small_agent(optimizer=Adam(rates, clip=np.array([1.0, math.inf])), gamma=one)
    traced = with_traced_settings(agent, (2,))
    assert traced.optimizer.learning_rate.tolist() == [1.0, 2.0]
    assert traced.optimizer.clip.tolist() == [1.0, math.inf]
    assert traced.gamma.tolist() == [0.5, 0.5]
    dtypes = {leaf.dtype for leaf in jax.tree.leaves(eqx.filter(traced, eqx.is_array))}
    assert dtypes == {jnp.dtype(jnp.float32)}


@pytest.mark.parametrize("precision", ["float32", "float64"])
@pytest.mark.parametrize("name", PRESETS)
def test_every_agent_takes_arrays_for_its_floats(name, precision):
    with jax.enable_x64(precision == "float64"):
        environment = make(TASK)
        agent = make_agent(name, environment)
        if hasattr(agent, "rollout"):
            agent = dataclasses.replace(agent, rollout=8, sequence=2)

        def train(agent, seeds, count):
            init = lambda agent, seed: init_seed(agent, environment, jax.random.key(seed), 1)  # noqa: E731
            states = eqx.filter_vmap(init, in_axes=(eqx.if_array(0), 0))(agent, seeds)
            return states, train_steps(agent, environment, states, count)

        given = jnp.arange(2), jnp.array(3)
        plain, after = eqx.filter_eval_shape(train, agent, *given)
        traced = eqx.filter_eval_shape(train, with_traced_settings(agent, (2,)), *given)
        assert traced == (plain, after)


@pytest.fixture
def compiled():
    """The names of the programs that have been compiled since the list was last emptied."""
    found = []

    def listen(event, duration, **about):
        if event == "/jax/core/compile/backend_compile_duration":
            found.append(about.get("fun_name"))

    jax.monitoring.register_event_duration_secs_listener(listen)
    yield found
    jax.monitoring.unregister_event_duration_listener(listen)


def settings(rate: float) -> rtrrl.RTRRL:
    """An agent of which every kind of float differs."""
    inputs = dataclasses.replace(small_agent().inputs, bonus=Novelty(rate))
    cell = RTUConfig(hidden_size=4, max_phase=rate)
    return small_agent(gamma=rate, optimizer=Adam(rate, epsilon=rate), inputs=inputs, cell=cell)


def test_agents_that_differ_in_floats_alone_are_compiled_once(compiled):
    for rate in (0.5, 0.25):
        compiled.clear()
        agent, state = train_small(settings(rate), **SHORT).agents().one(0)
        returns = rtrrl.evaluate(agent, state, TASK, jax.random.key(0), 2)
        rollout = rtrrl.rollout(agent, state, TASK, 5)
        assert agent.gamma == rate
        assert returns.shape == (2,)
        assert len(rollout["reward"]) == 5
    assert compiled == []


def test_a_setting_given_once_or_for_each_seed_gives_the_same_bits(tmp_path):
    each = small_agent(gamma=jnp.array([0.9, 0.9]), optimizer=Adam(jnp.array([1e-3, 1e-3])))
    once = small_agent(gamma=0.9, optimizer=Adam(1e-3))
    runs = [train_small(agent, **SHORT) for agent in (each, once)]
    assert_same_bits(runs[0].agents().states, runs[1].agents().states)
    assert runs[0].best.tolist() == runs[1].best.tolist()


def test_a_kept_program_serves_other_floats(tmp_path, monkeypatch):
    monkeypatch.setattr(traced_programs, "_folder", tmp_path)
    kept = []
    for rate in (1e-3, 1e-2):
        train_small(small_agent(optimizer=Adam(rate)), **SHORT)
        kept.append({path.name for path in tmp_path.iterdir()})
    assert kept[0] == kept[1] != set()
    train_small(small_agent(optimizer=Adam(1e-3, clip=math.inf)), **SHORT)
    assert {path.name for path in tmp_path.iterdir()} > kept[0], "an infinite one shapes it"
