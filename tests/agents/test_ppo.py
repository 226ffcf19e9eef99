"""What a PPO agent keeps of its stream, when it learns from it, and how its settings act."""

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
from rtrrl.gradients.certificates import RUN_ONCE
from rtrrl.learning.normalizers import ReturnScaledRewards, RunningObservations
from rtrrl.learning.optimizers import Adam, PerGroup
from rtrrl.learning.policies import Categorical, Gaussian
from rtrrl.learning.readouts import RandomFeedback
from rtrrl.runs.serialization import from_dict, to_dict
from rtrrl.types import parameters
from tests.members import assert_same, quick_jit

pytestmark = pytest.mark.usefixtures("x64")
SIZE, SEQUENCE, GAMMA = 6, 3, 0.9
BASE = PPO(
    task="none",
    observations=2,
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
begin = eqx.filter_jit(lambda agent, *given: agent.begin(*given), compiler_options=RUN_ONCE)
step = eqx.filter_jit(lambda agent, *given: agent.step(*given), compiler_options=RUN_ONCE)
ENDS = {2: 0.0, 4: 1.0, 8: 0.0}
"""After which steps an episode ends, and with what discount: terminated, truncated, terminated."""


def arrays(agent):
    """Settings as arrays: agents that differ in numbers alone share a compiled program."""
    return jax.tree.map(lambda a: jnp.asarray(a) if isinstance(a, float) else a, agent)


def live(agent, steps):
    """The state after each step, before the next episode begins, and what should be in a rollout.

    What should be there is put together here, from what the agent was told and did.
    """
    agent, rng, lived, states = arrays(agent), np.random.default_rng(1), [], []
    state, action = begin(agent, agent.init(jax.random.key(0)), jnp.asarray(rng.normal(size=2)))
    h, begun = np.zeros((2, 3)), True
    for t in range(steps):
        theta, now = state.parameters, state.now
        observation, reward = rng.normal(size=2), rng.normal()
        discount = ENDS.get(t, 1.0)
        log_pi = now.y - np.log(np.exp(now.y).sum())
        x_next = jnp.array([*observation, *np.eye(3)[action], reward])
        seen_next = theta.cell.features(theta.cell(now.h, x_next), x_next)
        lived.append(
            {
                "x": now.x,
                "h": h,
                "begun": begun,
                "action": action,
                "log_probability": log_pi[action],
                "value": theta.critic(theta.cell.features(now.h, now.x))[0],
                "reward": reward,
                "discount": GAMMA * discount,
                "next_value": theta.critic(seen_next)[0],
            }
        )
        h, begun = now.h, False
        given = jnp.asarray(observation), jnp.asarray(reward), jnp.asarray(discount)
        state, action, _ = step(agent, state, *given)
        states.append(state)
        if t in ENDS:
            state, action = begin(agent, state, jnp.asarray(rng.normal(size=2)))
            h, begun = np.zeros((2, 3)), True
    return states, lived


@pytest.fixture(scope="module")
def life():
    with jax.enable_x64(True):
        yield live(BASE, 2 * SIZE - 1)


def test_a_rollout_holds_the_transitions_that_were_lived(life):
    """Also across the ends of episodes, and in the next rollout."""
    states, lived = life
    for last, first in [(SIZE - 1, 0), (2 * SIZE - 2, SIZE)]:
        rollout, expected = states[last].rollout, lived[first : last + 1]
        for name in ("x", "begun", "action", "log_probability", "value", "reward", "discount"):
            kept = getattr(rollout.transitions, name)[: len(expected)]
            np.testing.assert_allclose(kept, [one[name] for one in expected], rtol=1e-10)
        next_values = [one["next_value"] for one in expected]
        np.testing.assert_allclose(
            rollout.transitions.next_value[: len(expected)], next_values, rtol=1e-10
        )
        np.testing.assert_allclose(rollout.h, [one["h"] for one in expected[::SEQUENCE]])
    begun = np.asarray(states[SIZE - 1].rollout.transitions.begun)
    np.testing.assert_array_equal(begun, [1, 0, 0, 1, 0, 1])


def test_parameters_change_when_the_rollout_is_full_and_not_before(life):
    states, _ = life
    born = arrays(BASE).init(jax.random.key(0)).parameters
    for t, state in enumerate(states[: SIZE - 1]):
        assert_same(parameters(state.parameters), parameters(born), 0.0)
        assert (state.rollout.filled, state.rollouts) == (t + 1, 0)
    learnt = states[SIZE - 1]
    assert (learnt.rollout.filled, learnt.rollouts) == (0, 1)
    for now, was in zip(
        jax.tree.leaves(parameters(learnt.parameters)),
        jax.tree.leaves(parameters(born)),
        strict=True,
    ):
        assert (now != was).any()
    for state in states[SIZE:]:
        assert_same(parameters(state.parameters), parameters(learnt.parameters), 0.0)


def test_replay_with_unchanged_weights_is_what_was_lived(life):
    """ρ = 1 throughout: in the second rollout too, whose first action the new weights chose."""
    states, _ = life
    for state, theta, lived in [
        (states[SIZE - 2], states[0].parameters, SIZE - 1),
        (states[-1], states[SIZE - 1].parameters, SIZE - 1),
    ]:
        seen = state.rollout.experience(0.5)
        y, value = quick_jit(jax.vmap(replay, (None, 0, 0)))(theta, seen.h, seen.lived)
        log_probability = jax.vmap(jax.vmap(BASE.policy.log_probability))(y, seen.lived.action)
        ratio = np.exp(log_probability - seen.lived.log_probability).ravel()
        np.testing.assert_allclose(ratio[:lived], 1.0, rtol=1e-12)
        np.testing.assert_allclose(
            value.ravel()[:lived], seen.lived.value.ravel()[:lived], rtol=1e-12
        )


def test_sequences_carry_advantages_and_lambda_returns(life):
    seen = life[0][SIZE - 1].rollout.experience(0.5)
    lived = jax.tree.map(lambda leaf: np.concatenate([*leaf]), seen.lived)
    delta = lived.reward + lived.discount * lived.next_value - lived.value
    fade = 0.5 * GAMMA
    expected = [
        delta[0] + fade * (delta[1] + fade * delta[2]),
        delta[1] + fade * delta[2],
        delta[2],
        delta[3] + fade * delta[4],
        delta[4],
        delta[5],
    ]
    np.testing.assert_allclose(seen.advantage.ravel(), expected, rtol=1e-10)
    np.testing.assert_allclose(seen.target.ravel(), expected + lived.value, rtol=1e-10)
    assert lived.discount[2] == 0 < lived.discount[4], "a terminal and a truncation"


def test_two_seeds_side_by_side_are_each_seed_alone():
    """With settings of their own, through two rounds of learning."""
    agent = dataclasses.replace(
        BASE,
        policy=Gaussian((-1.0,), (2.0,)),
        minibatches=2,
        epochs=2,
        observation_normalizer=RunningObservations(),
        reward_normalizer=ReturnScaledRewards(),
    )
    given = [
        {"discount": 0.9, "ratio_clip": 0.2, "decay_steps": jnp.inf, "entropy_coefficient": 0.0},
        {"discount": 0.5, "ratio_clip": 0.01, "decay_steps": 8.0, "entropy_coefficient": 0.1},
    ]

    def life(settings, key):
        own = dataclasses.replace(agent, **settings)

        def turn(state, key):
            draws = jax.random.normal(key, (4,))
            state, _, _ = own.step(state, draws[:2], draws[2], 1.0 * (draws[3] < 1))
            begun, _ = own.begin(state, draws[2:])
            return jax.tree.map(lambda a, b: jnp.where(draws[3] > 0.5, a, b), begun, state), None

        state, _ = own.begin(own.init(key), jnp.ones(2))
        return jax.lax.scan(turn, state, jax.random.split(key, 2 * SIZE))[0]

    keys = jax.random.split(jax.random.key(3))
    stacked = jax.tree.map(lambda *pair: jnp.stack([*map(jnp.asarray, pair)]), *given)
    together = quick_jit(jax.vmap(life))(stacked, keys)
    alone = quick_jit(life)
    for seed in (0, 1):
        one = alone(jax.tree.map(jnp.asarray, given[seed]), keys[seed])
        ours = jax.tree.map(lambda leaf, seed=seed: leaf[seed], together)
        assert (one.rollouts, one.rollout.filled) == (2, 0)
        assert_same(parameters(ours), parameters(one), 1e-9)
        assert ours.steps == one.steps
        np.testing.assert_array_equal(ours.rollout.transitions.begun, one.rollout.transitions.begun)


def test_parameters_stay_admissible(life):
    """r ≤ 0.9999; units start a little inside the bound, and the steps are large."""
    near = LEAST_NU + 0.01
    full = eqx.tree_at(lambda state: state.parameters.cell.nu, life[0][-1], jnp.full(3, near))
    bold = arrays(dataclasses.replace(BASE, optimizer=Adam(learning_rate=1.0, clip=0.5)))
    state, _, _ = step(bold, full, *GIVEN)
    nu = state.parameters.cell.nu
    assert nu.min() == pytest.approx(LEAST_NU, rel=1e-12)
    assert nu.max() > near


def test_the_learning_rate_falls_linearly_with_the_steps_lived(life):
    """The second rollout of six steps at half the rate, if twelve are the horizon."""
    full = life[0][-1]

    def change(decay_steps):
        decaying = arrays(dataclasses.replace(BASE, decay_steps=decay_steps))
        state, _, _ = step(decaying, full, *GIVEN)
        assert state.rollouts == 2
        now, was = parameters(state.parameters), parameters(full.parameters)
        return jax.tree.map(lambda a, b: a - b, now, was)

    whole = change(np.inf)
    assert_same(change(2.0 * SIZE), jax.tree.map(lambda leaf: leaf / 2, whole), 1e-9)
    for over in (1.0 * SIZE, 0.5 * SIZE):
        assert not any(leaf.any() for leaf in jax.tree.leaves(change(over)))


def test_every_epoch_descends_the_loss_of_every_sequence_once():
    """By a loss whose gradient tells which sequences a minibatch holds."""

    class Telling(PPO):
        def loss(self, theta, minibatch):
            return theta.critic.weight[0, 0] * minibatch.lived.x.sum()

    fields = {field.name: getattr(BASE, field.name) for field in dataclasses.fields(BASE)}
    plain = optax.sgd(0.1)
    ours = {"epochs": 2, "minibatches": 2, "optimizer": PerGroup(plain, plain, plain)}
    states, lived = live(Telling(**fields | ours), SIZE)
    changes = jax.tree.map(
        lambda now, was: np.asarray(now - was),
        parameters(states[-1].parameters),
        parameters(states[0].parameters),
    )
    expected = np.zeros_like(changes.critic.weight)
    expected[0, 0] = -0.1 * 2 * sum(one["x"].sum() for one in lived)
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
        ({"discount": 1.5}, r"discount is 1.5: it must lie in \[0, 1\]"),
        ({"decay_steps": 0.0}, "decay_steps is 0.0: it must be positive"),
        ({"trace_decay": -0.1}, r"trace_decay is -0.1: it must lie in \[0, 1\]"),
    ],
)
def test_settings_out_of_range_are_refused(changes, says):
    with pytest.raises(ValueError, match=says):
        PPO.default("TMaze-5", **changes)
