"""Which numbers of an RTRRL agent change in a step, and by how much."""

import dataclasses
import itertools

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rtrrl.agents import RTRRL
from rtrrl.cells import CTRNNConfig, Memoryless, MemorylessConfig, RTUConfig
from rtrrl.cells.eigenvalues import MAX_MODULUS
from rtrrl.gradients import RFLO, DiagonalRTRL, Frozen, Immediate
from rtrrl.learning.optimizers import Adam
from rtrrl.learning.policies import Categorical, Gaussian
from rtrrl.learning.returns import lambda_returns
from rtrrl.types import parameters
from tests.helpers import run_steps
from tests.members import WIRINGS, assert_same

pytestmark = pytest.mark.usefixtures("x64")
BASE = RTRRL(
    task="none", observation_size=2, policy=Categorical(2), cell=CTRNNConfig(hidden_size=6)
)
LEAST_NU = np.log(-np.log(MAX_MODULUS))


def episode(rng, steps):
    """Random observations and rewards of an episode."""
    return rng.normal(size=(steps + 1, 2)), rng.normal(size=steps)


def run(agent, state, *lengths, end_discount=0.0):
    """The states after each `begin` and each step of episodes of these lengths, and the infos."""
    rng, states, infos = np.random.default_rng(1), [], []
    for steps in lengths:
        more = run_steps(agent, state, *episode(rng, steps), end_discount)
        states, infos, state = states + more[0], infos + more[1], more[0][-1]
    return states, infos


def test_absent_weights_stay_zero_and_feedback_is_constant():
    config = CTRNNConfig(hidden_size=6, wiring=WIRINGS["sparse"])
    agent = dataclasses.replace(BASE, cell=config, optimizer=Adam(learning_rate=0.3))
    state = agent.init(jax.random.key(0))
    before, after = state.params, run(agent, state, 8, 4)[0][-1].params
    absent = ~np.asarray(before.cell.mask)
    assert absent.any()
    assert not np.asarray(after.cell.weight)[absent].any()
    assert np.abs(after.cell.weight - before.cell.weight)[~absent].min() > 0
    for name in ("actor", "critic"):
        old, new = getattr(before, name), getattr(after, name)
        np.testing.assert_array_equal(old.feedback.value, new.feedback.value)
        assert not np.isclose(old.weight, new.weight).any()


@pytest.mark.parametrize(
    ("config", "rule", "field", "near", "bound"),
    [
        (CTRNNConfig(hidden_size=6), RFLO(), "tau", 1.01, 1.0),
        (RTUConfig(hidden_size=6), DiagonalRTRL(), "nu", LEAST_NU + 0.01, LEAST_NU),
    ],
    ids=["τ ≥ 1", "|Λ| ≤ 0.9999"],
)
def test_parameters_stay_admissible_after_updates(config, rule, field, near, bound):
    """Units start a little inside the bound; the steps are large and go both ways."""
    agent = dataclasses.replace(BASE, cell=config, rule=rule, optimizer=Adam(learning_rate=0.1))
    state = agent.init(jax.random.key(0))
    where = lambda state: getattr(state.params.cell, field)  # noqa: E731
    state = eqx.tree_at(where, state, jnp.full(6, near))
    states, _ = run(agent, state, 8, 4)
    assert min(where(state).min() for state in states) == pytest.approx(bound, rel=1e-12)
    assert where(states[-1]).max() > near


def test_the_frozen_rule_makes_a_reservoir():
    agent = dataclasses.replace(BASE, rule=Frozen())
    state = agent.init(jax.random.key(0))
    before, after = state.params, run(agent, state, 8, 4)[0][-1].params
    assert_same(parameters(after.cell), parameters(before.cell), 0.0)
    assert not np.allclose(after.critic.weight, before.critic.weight)


@pytest.mark.parametrize("end_discount", [0.0, 1.0], ids=["terminated", "truncated"])
def test_critics_updates_sum_to_the_lambda_return(end_discount):
    """Backward view = forward view: Σ δ e = Σ (G^λ − v) ∇v."""
    agent = dataclasses.replace(
        BASE, optimizer=Adam(learning_rate=0.0), lambda_critic=0.8, gamma=0.9
    )
    states, infos = run(agent, agent.init(jax.random.key(0)), 8, end_discount=end_discount)
    gamma = 0.9 * np.array([1.0] * 7 + [end_discount])
    backward = sum(
        info.td_error * after.traces.critic.weight
        for info, after in zip(infos, states[1:], strict=True)
    )
    v = np.array([state.value for state in states])
    reward = np.array([info.td_error for info in infos]) - gamma * v[1:] + v[:-1]
    G = lambda_returns(*map(jnp.asarray, (reward, gamma, v[1:])), 0.8)
    features = np.array([[*state.last.h[0], 1.0] for state in states[:-1]])
    np.testing.assert_allclose(backward[0], (G - v[:-1]) @ features, rtol=1e-10)


@pytest.mark.parametrize("group", ["actor", "critic", "cell"])
def test_each_lambda_acts_on_its_own_group(group):
    fields = {"actor": "actor", "critic": "critic", "cell": "recurrent"}
    changed = dataclasses.replace(BASE, **{f"lambda_{fields[group]}": 0.5})
    traces = []
    for agent in (BASE, changed):
        still = dataclasses.replace(agent, optimizer=Adam(learning_rate=0.0))
        traces.append(run(still, still.init(jax.random.key(0)), 5)[0][-1].traces)
    for name in fields:
        pairs = zip(*(jax.tree.leaves(getattr(each, name)) for each in traces), strict=True)
        assert all(np.array_equal(a, b) for a, b in pairs) == (name != group)


def test_entropy_bonus_stays_outside_the_traces():
    without = dataclasses.replace(BASE, optimizer=Adam(learning_rate=0.0), entropy_coefficient=0.0)
    including = dataclasses.replace(without, entropy_coefficient=10.0)
    ends = [run(agent, agent.init(jax.random.key(0)), 5)[0][-1] for agent in (without, including)]
    assert_same(ends[0].traces, ends[1].traces, 0.0)
    moments = [jax.tree.leaves(end.opt_state) for end in ends]  # of Adam, which include it
    assert not all(np.array_equal(a, b) for a, b in zip(*moments, strict=True))


def test_attenuation_weights_the_actor_by_gamma_to_the_t_and_restarts():
    still = dataclasses.replace(
        BASE,
        optimizer=Adam(learning_rate=0.0),
        gamma=0.5,
        lambda_actor=0.0,
        lambda_recurrent=0.0,
    )
    weighted = dataclasses.replace(still, attenuate=True)
    plain, attenuated = (run(a, a.init(jax.random.key(0)), 3, 2)[0] for a in (still, weighted))
    times = [None, 0, 1, 2, None, 0, 1]  # of the gradient in the trace; none after `begin`
    for a, b, t in zip(plain, attenuated, times, strict=True):
        weight = 0.0 if t is None else 0.5**t
        np.testing.assert_allclose(b.traces.actor.weight, weight * a.traces.actor.weight)
        np.testing.assert_array_equal(b.traces.critic.weight, a.traces.critic.weight)


def test_meta_input_layout():
    """x = [o, a, r], with a and r zero at the start of an episode, and a the admissible action."""
    policy = Gaussian((-2.0,), (4.0,))
    agent = dataclasses.replace(BASE, policy=policy)
    states, _ = run(agent, agent.init(jax.random.key(0)), 2, 1)
    observations, rewards = episode(np.random.default_rng(1), 2)
    first = states[0].last
    np.testing.assert_array_equal(first.x, [*observations[0], 0, 0])
    action = (float(policy.admissible(first.action)[0]) - 1) / 3
    np.testing.assert_allclose(states[1].last.x, [*observations[1], action, rewards[0]], rtol=1e-12)
    assert not states[3].last.x[2:].any(), "the start of the second episode"


def test_td_lambda_is_rtrrl_without_memory():
    """The trace has the features of h, the state before the step, never those of h'."""
    agent = dataclasses.replace(
        BASE, cell=MemorylessConfig(hidden_size=3), rule=Immediate(), lambda_critic=0.0
    )
    states, _ = run(agent, agent.init(jax.random.key(0)), 3)
    for before, after in itertools.pairwise(states):
        assert isinstance(before.params.cell, Memoryless)
        features = [*before.last.h[0], 1.0]
        np.testing.assert_allclose(after.traces.critic.weight[0], features, rtol=1e-12)


@pytest.mark.parametrize("greedy", [False, True])
def test_a_frozen_agent_acts_as_one_with_a_learning_rate_of_zero(greedy):
    still = dataclasses.replace(BASE, optimizer=Adam(learning_rate=0.0))
    state = still.init(jax.random.key(0))
    frozen = still.frozen(state, greedy)
    start = dataclasses.replace(frozen.init(jax.random.key(9)), key=state.key, steps=state.steps)
    ours, our_infos = run(frozen, start, 8, 4)
    if greedy:
        modes = [frozen.agent.policy.mode(state.params.actor(each.last.h[0])) for each in ours]
        assert [int(each.last.action) for each in ours] == [int(mode) for mode in modes]
        return
    theirs, their_infos = run(still, state, 8, 4)
    assert_same(parameters(theirs[-1].params), parameters(state.params), 0.0)
    for a, b in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(a.last.h, b.last.h, rtol=1e-12)
        np.testing.assert_allclose(a.last.x, b.last.x, rtol=1e-12)
        assert a.last.action == b.last.action
    np.testing.assert_allclose(
        [info.td_error for info in our_infos], [info.td_error for info in their_infos], rtol=1e-10
    )
