"""What an RTRRL agent keeps, moves and leaves alone."""

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
from rtrrl.gradients.certificates import RUN_ONCE
from rtrrl.learning.optimizers import Adam
from rtrrl.learning.policies import Categorical, Gaussian
from rtrrl.learning.returns import lambda_returns
from rtrrl.types import parameters
from tests.members import WIRINGS, assert_same

pytestmark = pytest.mark.usefixtures("x64")
BASE = RTRRL(
    task="none", observation_size=2, policy=Categorical(2), cell=CTRNNConfig(hidden_size=6)
)
LEAST_NU = np.log(-np.log(MAX_MODULUS))
begin = eqx.filter_jit(lambda agent, *given: agent.begin(*given), compiler_options=RUN_ONCE)
step = eqx.filter_jit(lambda agent, *given: agent.step(*given), compiler_options=RUN_ONCE)


def live(agent, state, steps=12, end=7, end_discount=0.0):
    """Random observations and rewards; the episode ends once. Every state after `begin`, infos."""
    # settings as arrays: agents that differ in numbers alone share a compiled program
    agent = jax.tree.map(lambda a: jnp.asarray(a) if isinstance(a, float) else a, agent)
    rng = np.random.default_rng(1)
    state, _ = begin(agent, state, jnp.asarray(rng.normal(size=2)))
    states, infos = [state], []
    for t in range(steps):
        discount = jnp.asarray(end_discount if t == end else 1.0)
        observation, reward = jnp.asarray(rng.normal(size=2)), jnp.asarray(rng.normal())
        state, _, info = step(agent, state, observation, reward, discount)
        states.append(state)
        infos.append(info)
        if t == end:
            state, _ = begin(agent, state, jnp.asarray(rng.normal(size=2)))
            states.append(state)
    return states, infos


def test_absent_weights_stay_zero_and_feedback_stays_as_drawn():
    recipe = CTRNNConfig(hidden_size=6, wiring=WIRINGS["sparse"])
    agent = dataclasses.replace(BASE, cell=recipe, optimizer=Adam(learning_rate=0.3))
    born = agent.init(jax.random.key(0)).parameters
    states, _ = live(agent, agent.init(jax.random.key(0)))
    grown = states[-1].parameters
    absent = ~np.asarray(born.cell.mask)
    assert absent.any()
    assert not np.asarray(grown.cell.weight)[absent].any()
    assert np.abs(grown.cell.weight - born.cell.weight)[~absent].min() > 0
    for name in ("actor", "critic"):
        was, now = getattr(born, name), getattr(grown, name)
        np.testing.assert_array_equal(was.feedback.value, now.feedback.value)
        assert not np.isclose(was.weight, now.weight).any()


@pytest.mark.parametrize(
    ("recipe", "rule", "field", "near", "bound"),
    [
        (CTRNNConfig(hidden_size=6), RFLO(), "tau", 1.01, 1.0),
        (RTUConfig(hidden_size=6), DiagonalRTRL(), "nu", LEAST_NU + 0.01, LEAST_NU),
    ],
    ids=["τ ≥ 1", "|Λ| ≤ 0.9999"],
)
def test_parameters_stay_admissible_after_updates(recipe, rule, field, near, bound):
    """Units start a little inside the bound; the steps are large and go both ways."""
    agent = dataclasses.replace(BASE, cell=recipe, rule=rule, optimizer=Adam(learning_rate=0.1))
    state = agent.init(jax.random.key(0))
    where = lambda state: getattr(state.parameters.cell, field)  # noqa: E731
    state = eqx.tree_at(where, state, jnp.full(6, near))
    states, _ = live(agent, state)
    assert min(where(state).min() for state in states) == pytest.approx(bound, rel=1e-12)
    assert where(states[-1]).max() > near


def test_frozen_rule_is_a_reservoir():
    agent = dataclasses.replace(BASE, rule=Frozen())
    born = agent.init(jax.random.key(0)).parameters
    states, _ = live(agent, agent.init(jax.random.key(0)))
    assert_same(parameters(states[-1].parameters.cell), parameters(born.cell), 0.0)
    assert not np.allclose(states[-1].parameters.critic.weight, born.critic.weight)


@pytest.mark.parametrize("end_discount", [0.0, 1.0], ids=["terminated", "truncated"])
def test_critics_updates_sum_to_the_lambda_return(end_discount):
    """Backward view = forward view, lived by the agent: Σ δ e = Σ (G^λ − v) ∇v."""
    agent = dataclasses.replace(
        BASE, optimizer=Adam(learning_rate=0.0), lambda_critic=0.8, gamma=0.9
    )
    states, infos = live(agent, agent.init(jax.random.key(0)), 8, 7, end_discount)
    states, gamma = states[:-1], 0.9 * np.array([1.0] * 7 + [end_discount])
    backward = sum(
        info.td_error * after.traces.critic.weight
        for info, after in zip(infos, states[1:], strict=True)
    )
    v = np.array([state.value for state in states])
    reward = np.array([info.td_error for info in infos]) - gamma * v[1:] + v[:-1]
    G = lambda_returns(*map(jnp.asarray, (reward, gamma, v[1:])), 0.8)
    features = np.array([[*state.now.h[0], 1.0] for state in states[:-1]])
    np.testing.assert_allclose(backward[0], (G - v[:-1]) @ features, rtol=1e-10)


@pytest.mark.parametrize("group", ["actor", "critic", "cell"])
def test_each_trace_decay_acts_on_its_own_group(group):
    fields = {"actor": "actor", "critic": "critic", "cell": "recurrent"}
    changed = dataclasses.replace(BASE, **{f"trace_decay_{fields[group]}": 0.5})
    # without learning both agents live the same life
    ends = [
        live(dataclasses.replace(agent, optimizer=Adam(learning_rate=0.0)), state, 5)[0][-1].traces
        for agent in (BASE, changed)
        for state in [agent.init(jax.random.key(0))]
    ]
    for name in fields:
        was, now = (jax.tree.leaves(getattr(traces, name)) for traces in ends)
        same = all(np.array_equal(a, b) for a, b in zip(was, now, strict=True))
        assert same == (name != group)


def test_entropy_bonus_stays_outside_the_traces():
    calm = dataclasses.replace(BASE, optimizer=Adam(learning_rate=0.0), entropy_coefficient=0.0)
    keen = dataclasses.replace(calm, entropy_coefficient=10.0)
    ends = [live(agent, agent.init(jax.random.key(0)), 5)[0][-1] for agent in (calm, keen)]
    assert_same(ends[0].traces, ends[1].traces, 0.0)
    gradients = [jax.tree.leaves(end.optimizer) for end in ends]  # Adam's moments did see it
    assert not all(np.array_equal(a, b) for a, b in zip(*gradients, strict=True))


def test_attenuation_weights_the_actor_by_gamma_to_the_t_and_restarts():
    still = dataclasses.replace(
        BASE,
        optimizer=Adam(learning_rate=0.0),
        gamma=0.5,
        lambda_actor=0.0,
        lambda_recurrent=0.0,
    )
    weighted = dataclasses.replace(still, attenuate=True)
    plain, fading = (live(a, a.init(jax.random.key(0)), 5, end=2)[0] for a in (still, weighted))
    times = [None, 0, 1, 2, None, 0, 1]  # of the gradient in the trace; none after `begin`
    for a, b, t in zip(plain, fading, times, strict=True):
        weight = 0.0 if t is None else 0.5**t
        np.testing.assert_allclose(b.traces.actor.weight, weight * a.traces.actor.weight)
        np.testing.assert_array_equal(b.traces.critic.weight, a.traces.critic.weight)


def test_meta_input_layout():
    """x = [o, a, r], zeros for both at the start of every episode; the action as it was done."""
    policy = Gaussian((-2.0,), (4.0,))
    agent = dataclasses.replace(BASE, policy=policy)
    states, _ = live(agent, agent.init(jax.random.key(0)), 3, end=1)
    rng, first = np.random.default_rng(1), states[0]
    np.testing.assert_array_equal(first.now.x, [*rng.normal(size=2), 0, 0])
    o, r = rng.normal(size=2), rng.normal()
    done = (float(policy.admissible(first.now.action)[0]) - 1) / 3
    np.testing.assert_allclose(states[1].now.x, [*o, done, r], rtol=1e-12)
    assert not states[3].now.x[2:].any(), "a second episode begins without a past"


def test_td_lambda_is_rtrrl_without_memory():
    """The trace holds the features of the moment before, never those of h'."""
    agent = dataclasses.replace(
        BASE, cell=MemorylessConfig(hidden_size=3), rule=Immediate(), lambda_critic=0.0
    )
    states, _ = live(agent, agent.init(jax.random.key(0)), 3)
    for before, after in itertools.pairwise(states):
        assert isinstance(before.parameters.cell, Memoryless)
        features = [*before.now.h[0], 1.0]
        np.testing.assert_allclose(after.traces.critic.weight[0], features, rtol=1e-12)


@pytest.mark.parametrize("greedy", [False, True])
def test_frozen_agent_lives_as_one_that_does_not_learn(greedy):
    still = dataclasses.replace(BASE, optimizer=Adam(learning_rate=0.0))
    state = still.init(jax.random.key(0))
    frozen = still.frozen(state, greedy)
    play = dataclasses.replace(frozen.init(jax.random.key(9)), key=state.key, steps=state.steps)
    kept = jax.tree.map(np.asarray, eqx.filter(frozen, eqx.is_inexact_array))
    plays, shown = live(frozen, play)
    assert_same(jax.tree.map(np.asarray, eqx.filter(frozen, eqx.is_inexact_array)), kept, 0.0)
    if greedy:
        modes = [frozen.agent.policy.mode(state.parameters.actor(play.now.h[0])) for play in plays]
        assert [int(play.now.action) for play in plays] == [int(mode) for mode in modes]
        return
    states, infos = live(still, state)
    assert_same(parameters(states[-1].parameters), parameters(state.parameters), 0.0)
    for play, lived in zip(plays, states, strict=True):
        np.testing.assert_allclose(play.now.h, lived.now.h, rtol=1e-12)
        np.testing.assert_allclose(play.now.x, lived.now.x, rtol=1e-12)
        assert play.now.action == lived.now.action
    np.testing.assert_allclose(
        [info.td_error for info in shown], [info.td_error for info in infos], rtol=1e-10
    )
