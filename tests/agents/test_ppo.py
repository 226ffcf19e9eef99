"""The rollout of a PPO agent, when it learns from it, and the effect of its settings."""

import dataclasses

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from rtrrl.agents import PPO
from rtrrl.agents.ppo import replay
from rtrrl.cells import RTUConfig
from rtrrl.cells.eigenvalues import MAX_MODULUS
from rtrrl.errors import RtrrlError
from rtrrl.learning.input_pipeline import InputPipeline
from rtrrl.learning.normalizers import ReturnScaledRewards, RunningObservations
from rtrrl.learning.optimizers import Adam, PerGroup
from rtrrl.learning.policies import Categorical, Gaussian
from rtrrl.learning.readouts import RandomFeedback
from rtrrl.runs.serialization import from_dict, to_dict
from rtrrl.types import parameters
from tests.helpers import begin, step, with_array_settings
from tests.members import assert_same, quick_jit

pytestmark = pytest.mark.usefixtures("x64")
SIZE, SEQUENCE, GAMMA = 6, 3, 0.9
BASE = PPO(
    task="none",
    observation_size=2,
    policy=Categorical(3),
    cell=RTUConfig(hidden_size=3),
    optimizer=Adam(learning_rate=0.01, clip=0.5),
    rollout=SIZE,
    sequence=SEQUENCE,
    minibatches=1,
    epochs=1,
    gamma=GAMMA,
)
GIVEN = np.ones(2), np.ones(()), np.ones(())
LEAST_NU = np.log(-np.log(MAX_MODULUS))
ENDS = {2: 0.0, 4: 1.0, 8: 0.0}
"""After which steps an episode ends, and with what discount: terminated, truncated, terminated."""


def run(agent, steps):
    """The state after each step, before the next episode begins, and the expected transitions.

    The transitions are put together here from the agent's inputs and actions.
    """
    agent, rng, transitions, states = with_array_settings(agent), np.random.default_rng(1), [], []
    state, action = begin(agent, agent.init(jax.random.key(0)), jnp.asarray(rng.normal(size=2)))
    h, is_first = np.zeros((2, 3)), True
    for t in range(steps):
        params, last = state.params, state.last
        observation, reward = rng.normal(size=2), rng.normal()
        discount = ENDS.get(t, 1.0)
        log_pi = last.outputs - np.log(np.exp(last.outputs).sum())
        x_next = jnp.array([*observation, *np.eye(3)[action], reward])
        next_features = params.cell.features(params.cell(last.h, x_next), x_next)
        transitions.append(
            {
                "x": last.x,
                "h": h,
                "is_first": is_first,
                "action": action,
                "log_probability": log_pi[action],
                "value": params.critic(params.cell.features(last.h, last.x))[0],
                "reward": reward,
                "discount": GAMMA * discount,
                "next_value": params.critic(next_features)[0],
            }
        )
        h, is_first = last.h, False
        given = jnp.asarray(observation), jnp.asarray(reward), jnp.asarray(discount)
        state, action, _ = step(agent, state, *given)
        states.append(state)
        if t in ENDS:
            state, action = begin(agent, state, jnp.asarray(rng.normal(size=2)))
            h, is_first = np.zeros((2, 3)), True
    return states, transitions


@pytest.fixture(scope="module")
def trajectory():
    with jax.enable_x64(True):
        yield run(BASE, 2 * SIZE - 1)


def test_a_rollout_holds_the_transitions(trajectory):
    """Also across the ends of episodes, and in the next rollout."""
    states, transitions = trajectory
    for last, first in [(SIZE - 1, 0), (2 * SIZE - 2, SIZE)]:
        rollout, expected = states[last].rollout, transitions[first : last + 1]
        for name in ("x", "is_first", "action", "log_probability", "value", "reward", "discount"):
            kept = getattr(rollout.transitions, name)[: len(expected)]
            np.testing.assert_allclose(kept, [one[name] for one in expected], rtol=1e-10)
        next_values = [one["next_value"] for one in expected]
        np.testing.assert_allclose(
            rollout.transitions.next_value[: len(expected)], next_values, rtol=1e-10
        )
        np.testing.assert_allclose(rollout.h, [one["h"] for one in expected[::SEQUENCE]])
    is_first = np.asarray(states[SIZE - 1].rollout.transitions.is_first)
    np.testing.assert_array_equal(is_first, [1, 0, 0, 1, 0, 1])


def test_parameters_change_when_the_rollout_is_full_and_not_before(trajectory):
    states, _ = trajectory
    initial = with_array_settings(BASE).init(jax.random.key(0)).params
    for t, state in enumerate(states[: SIZE - 1]):
        assert_same(parameters(state.params), parameters(initial), 0.0)
        assert (state.rollout.filled, state.rollouts) == (t + 1, 0)
    learned = states[SIZE - 1]
    assert (learned.rollout.filled, learned.rollouts) == (0, 1)
    for new, old in zip(
        jax.tree.leaves(parameters(learned.params)),
        jax.tree.leaves(parameters(initial)),
        strict=True,
    ):
        assert (new != old).any()
    for state in states[SIZE:]:
        assert_same(parameters(state.params), parameters(learned.params), 0.0)


def test_replay_with_unchanged_parameters_reproduces_the_rollout(trajectory):
    """ρ = 1 throughout: also in the second rollout, whose first action the new parameters chose."""
    states, _ = trajectory
    for state, params in [(states[SIZE - 2], states[0].params), (states[-1], states[SIZE].params)]:
        sequences = state.rollout.sequences(0.5)
        steps, filled = sequences.transitions, SIZE - 1
        y, value = quick_jit(jax.vmap(replay, (None, 0, 0)))(params, sequences.h, steps)
        log_probability = jax.vmap(jax.vmap(BASE.policy.log_probability))(y, steps.action)
        ratio = np.exp(log_probability - steps.log_probability).ravel()
        np.testing.assert_allclose(ratio[:filled], 1.0, rtol=1e-12)
        np.testing.assert_allclose(value.ravel()[:filled], steps.value.ravel()[:filled], rtol=1e-12)


def test_sequences_have_advantages_and_lambda_returns(trajectory):
    sequences = trajectory[0][SIZE - 1].rollout.sequences(0.5)
    steps = jax.tree.map(lambda leaf: np.concatenate([*leaf]), sequences.transitions)
    delta = steps.reward + steps.discount * steps.next_value - steps.value
    fade = 0.5 * GAMMA
    expected = [
        delta[0] + fade * (delta[1] + fade * delta[2]),
        delta[1] + fade * delta[2],
        delta[2],
        delta[3] + fade * delta[4],
        delta[4],
        delta[5],
    ]
    np.testing.assert_allclose(sequences.advantage.ravel(), expected, rtol=1e-10)
    np.testing.assert_allclose(sequences.target.ravel(), expected + steps.value, rtol=1e-10)
    assert steps.discount[2] == 0 < steps.discount[4], "a terminal and a truncation"


def test_seeds_side_by_side_are_the_same_as_alone():
    """With settings of their own, through two rounds of learning."""
    agent = dataclasses.replace(
        BASE,
        policy=Gaussian((-1.0,), (2.0,)),
        minibatches=2,
        epochs=2,
        inputs=InputPipeline(RunningObservations(), ReturnScaledRewards()),
    )
    given = [
        {"gamma": 0.9, "ratio_clip": 0.2, "decay_steps": jnp.inf, "entropy_coefficient": 0.0},
        {"gamma": 0.5, "ratio_clip": 0.01, "decay_steps": 8.0, "entropy_coefficient": 0.1},
    ]

    def run(settings, key):
        own = dataclasses.replace(agent, **settings)

        def body(state, key):
            draws = jax.random.normal(key, (4,))
            state, _, _ = own.step(state, draws[:2], draws[2], 1.0 * (draws[3] < 1))
            restarted, _ = own.begin(state, draws[2:])
            return jax.tree.map(
                lambda a, b: jnp.where(draws[3] > 0.5, a, b), restarted, state
            ), None

        state, _ = own.begin(own.init(key), jnp.ones(2))
        return jax.lax.scan(body, state, jax.random.split(key, 2 * SIZE))[0]

    keys = jax.random.split(jax.random.key(3))
    stacked = jax.tree.map(lambda *pair: jnp.stack([*map(jnp.asarray, pair)]), *given)
    together = quick_jit(jax.vmap(run))(stacked, keys)
    alone = quick_jit(run)
    for seed in (0, 1):
        one = alone(jax.tree.map(jnp.asarray, given[seed]), keys[seed])
        ours = jax.tree.map(lambda leaf, seed=seed: leaf[seed], together)
        assert (one.rollouts, one.rollout.filled) == (2, 0)
        assert_same(parameters(ours), parameters(one), 1e-9)
        assert ours.steps == one.steps
        np.testing.assert_array_equal(
            ours.rollout.transitions.is_first, one.rollout.transitions.is_first
        )


def test_parameters_stay_admissible(trajectory):
    """r ≤ 0.9999; units start a little inside the bound, and the steps are large."""
    near = LEAST_NU + 0.01
    full = eqx.tree_at(lambda state: state.params.cell.nu, trajectory[0][-1], jnp.full(3, near))
    bold = with_array_settings(
        dataclasses.replace(BASE, optimizer=Adam(learning_rate=1.0, clip=0.5))
    )
    state, _, _ = step(bold, full, *GIVEN)
    nu = state.params.cell.nu
    assert nu.min() == pytest.approx(LEAST_NU, rel=1e-12)
    assert nu.max() > near


def test_the_learning_rate_falls_linearly_with_steps(trajectory):
    """The second rollout of six steps has half the rate where the rate is 0 after twelve."""
    full = trajectory[0][-1]

    def change(decay_steps):
        decaying = with_array_settings(dataclasses.replace(BASE, decay_steps=decay_steps))
        state, _, _ = step(decaying, full, *GIVEN)
        assert state.rollouts == 2
        after, before = parameters(state.params), parameters(full.params)
        return jax.tree.map(lambda a, b: a - b, after, before)

    whole = change(np.inf)
    assert_same(change(2.0 * SIZE), jax.tree.map(lambda leaf: leaf / 2, whole), 1e-9)
    for over in (1.0 * SIZE, 0.5 * SIZE):
        assert not any(leaf.any() for leaf in jax.tree.leaves(change(over)))


def test_every_epoch_descends_the_loss_of_every_sequence_once():
    """By a loss whose gradient shows which sequences a minibatch has."""

    class SumOfInputs(PPO):
        def loss(self, params, minibatch):
            return params.critic.weight[0, 0] * minibatch.transitions.x.sum()

    fields = {field.name: getattr(BASE, field.name) for field in dataclasses.fields(BASE)}
    plain = optax.sgd(0.1)
    ours = {"epochs": 2, "minibatches": 2, "optimizer": PerGroup(plain, plain, plain)}
    states, transitions = run(SumOfInputs(**fields | ours), SIZE)
    changes = jax.tree.map(
        lambda new, old: np.asarray(new - old),
        parameters(states[-1].params),
        parameters(states[0].params),
    )
    expected = np.zeros_like(changes.critic.weight)
    expected[0, 0] = -0.1 * 2 * sum(one["x"].sum() for one in transitions)
    np.testing.assert_allclose(changes.critic.weight, expected, rtol=1e-9)
    assert not changes.actor.weight.any()


def test_settings_are_data():
    agent = PPO.default("TMaze-5", gamma=0.5, rollout=64, sequence=8)
    assert from_dict(to_dict(agent)) == agent


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"rollout": 100}, "rollout is 100: it must be a multiple of sequence x minibatches"),
        ({"epochs": 0}, "epochs is 0: it must be 1 or more"),
        ({"sequence": 0}, "sequence is 0: it must be 1 or more"),
        ({"feedback": RandomFeedback()}, "backpropagates through the readouts' own weights"),
        ({"gamma": 1.5}, r"gamma is 1.5: it must lie in \[0, 1\]"),
        ({"decay_steps": 0.0}, "decay_steps is 0.0: it must be positive"),
        ({"gae_lambda": -0.1}, r"gae_lambda is -0.1: it must lie in \[0, 1\]"),
    ],
)
def test_settings_out_of_range_are_refused(changes, says):
    with pytest.raises((ValueError, RtrrlError), match=says):
        PPO.default("TMaze-5", **changes)
