"""The loop of agent and environment, checked by hand on environments that are known completely."""

import itertools

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jaxtyping import Array

from rtrrl import RTRRL
from rtrrl.agents import Agent, Info
from rtrrl.cells import MemorylessConfig
from rtrrl.environments import Box, Discrete, Environment, make
from rtrrl.gradients import Immediate
from rtrrl.learning.exploration_bonus import NoBonus
from rtrrl.learning.normalizers import RawObservations, RawRewards
from rtrrl.learning.optimizers import Adam
from rtrrl.training.loop import _side_by_side, init_runner_state, train_steps
from rtrrl.types import TimeStep
from tests.helpers import assert_same_bits, element, run_loop
from tests.members import QUICK

pytestmark = pytest.mark.fully_optimized

OBSERVATIONS = (0.25, 0.5, 1.0, 2.0)
REWARDS = (1.0, 2.0, 4.0)


class Script(Environment):
    """Three steps of known observations and rewards; `discount` is that of the last one."""

    discount: Array

    @property
    def observation_space(self):
        return Box.of(0, 2, (1,))

    @property
    def action_space(self):
        return Discrete(2)

    def reset(self, key):
        return jnp.zeros((), jnp.int32), jnp.array([OBSERVATIONS[0]])

    def step(self, key, state, action):
        last = state == len(REWARDS) - 1
        return state + 1, TimeStep(
            observation=jnp.array(OBSERVATIONS)[state + 1][None],
            reward=jnp.array(REWARDS)[state],
            discount=jnp.where(last, self.discount, 1.0),
            last=last,
        )


class Recorder(Agent):
    """Records the arguments of every call in a table: 0 for `begin`, 1 for `step`."""

    task: str = "Script"

    def init(self, key):
        return jnp.full((16, 4), jnp.nan), jnp.zeros((), jnp.int32)

    def begin(self, state, observation):
        return self._record(state, 0.0, observation, jnp.nan, jnp.nan), jnp.zeros((), jnp.int32)

    def step(self, state, observation, reward, discount):
        state = self._record(state, 1.0, observation, reward, discount)
        return state, jnp.zeros((), jnp.int32), Info(reward, reward, jnp.array(0.5))

    def frozen(self, state, greedy=False):
        return self

    def _record(self, state, kind, observation, reward, discount):
        table, count = state
        row = jnp.stack([kind, observation[0], reward, discount])
        return table.at[count].set(row), count + 1


@pytest.fixture(params=[1.0, 0.0], ids=["truncated", "terminated"])
def discount(request) -> Array:
    return jnp.array(request.param)


def after(agent: Agent, environment: Environment, steps: int):
    """The state of one seed after so many steps."""
    return element(run_loop(agent, environment, steps)[1], 0)


def test_the_agent_gets_the_last_time_step_and_then_the_first_of_the_next_episode(discount):
    table, count = after(Recorder(), Script(discount), 7).agent_state
    nan = np.nan
    episode = [
        [0, OBSERVATIONS[0], nan, nan],
        [1, OBSERVATIONS[1], REWARDS[0], 1],
        [1, OBSERVATIONS[2], REWARDS[1], 1],
        [1, OBSERVATIONS[3], REWARDS[2], discount],
    ]
    np.testing.assert_array_equal(table[:count], [*episode, *episode, *episode[:2]])


def test_statistics_count_whole_episodes_and_all_steps(discount):
    state = after(Recorder(), Script(discount), 7)
    statistics = state.statistics
    assert (statistics.episodes, statistics.steps, state.steps) == (2, 7, 7)
    assert statistics.returns == 2 * sum(REWARDS)
    assert state.episode_return == REWARDS[0]
    # the recorder's TD error is the reward, its entropy ½
    assert statistics.squared_td_error == 2 * (1 + 4 + 16) + 1
    assert statistics.entropy == 3.5


def test_truncation_bootstraps_from_the_final_observation_and_a_terminal_does_not(discount):
    gamma = 0.5
    agent = RTRRL.default(
        Script(discount),
        cell=MemorylessConfig(hidden_size=2),
        rule=Immediate(),
        optimizer=Adam(learning_rate=0.0),
        observations=RawObservations(),
        rewards=RawRewards(),
        bonus=NoBonus(),
        meta_input=False,
        gamma=gamma,
    )
    initial, state = element(run_loop(agent, Script(discount), 3), 0)
    params = initial.agent_state.params

    def value(observation: float) -> float:
        features = [observation, 1.0] @ np.asarray(params.cell.weight)
        return float(np.asarray(params.critic.weight)[0] @ [*features, 1.0])

    v = [value(observation) for observation in OBSERVATIONS]
    deltas = [
        REWARDS[0] + gamma * v[1] - v[0],
        REWARDS[1] + gamma * v[2] - v[1],
        REWARDS[2] + gamma * float(discount) * v[3] - v[2],
    ]
    assert abs(v[3]) > 0.1, "bootstrapping must make a difference"
    expected = np.sum(np.square(deltas))
    np.testing.assert_allclose(state.statistics.squared_td_error, expected, rtol=1e-5)
    # the next episode has begun: the value is that of its first observation
    np.testing.assert_allclose(state.agent_state.value, v[0], rtol=1e-5)
    np.testing.assert_array_equal(state.agent_state.last.x, [OBSERVATIONS[0]])


# --- several seeds, compiled as in training -----------------------------------------------------


@pytest.fixture(scope="module")
def three_seeds():
    """An environment whose episodes end at different times, agents that differ in γ, states."""
    environment = make("CartPole-vel")
    # with novelty XLA makes another program of one seed than of three: the last bits differ
    agent = RTRRL.default(environment, gamma=jnp.linspace(0.9, 0.99, 3), bonus=NoBonus())
    keys = jax.random.split(jax.random.key(1), 3)
    init = eqx.filter_vmap(init_runner_state, in_axes=(eqx.if_array(0), None, 0))
    init = eqx.filter_jit(init, compiler_options=QUICK)
    return agent, environment, init(agent, environment, keys)


def compiled(run, agent, environment, states, steps: int, **options):
    """The arrays of the states after `steps` steps."""
    run = eqx.filter_jit(run, **options)
    return eqx.filter(run(agent, environment, states, jnp.array(steps), 1), eqx.is_array)


def one(tree, i: int):
    """One seed, with its axis."""
    return jax.tree.map(lambda leaf: leaf[i : i + 1] if eqx.is_array(leaf) else leaf, tree)


def test_a_seed_has_the_same_bits_alone_and_among_others(three_seeds):
    agent, environment, states = three_seeds
    together = compiled(train_steps, agent, environment, states, 200)
    assert (together.statistics.episodes > 1).all()
    for i in range(3):
        alone = compiled(train_steps, one(agent, i), environment, one(states, i), 200)
        assert_same_bits(alone, one(together, i))


def test_seeds_one_after_another_are_the_seeds_side_by_side(three_seeds):
    in_turn = compiled(train_steps, *three_seeds, 40)
    at_once = compiled(_side_by_side, *three_seeds, 40, compiler_options=QUICK)
    assert (in_turn.statistics.episodes > 0).any()
    # two programs round differently; a step or an episode too many would show
    np.testing.assert_array_equal(in_turn.steps, at_once.steps)
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-4),
        in_turn.agent_state.params,
        at_once.agent_state.params,
    )


# --- NaN and infinity ---------------------------------------------------------------------------


class NonFiniteScript(Script):
    """Gives `value` as reward or observation at step `at` of an episode; 0 is the reset."""

    value: Array
    at: Array
    in_reward: Array

    def reset(self, key):
        state, observation = super().reset(key)
        return state, jnp.where(self.at == 0, self.value, observation)

    def step(self, key, state, action):
        state, timestep = super().step(key, state, action)
        now = state == self.at
        return state, TimeStep(
            jnp.where(now & ~self.in_reward, self.value, timestep.observation),
            jnp.where(now & self.in_reward, self.value, timestep.reward),
            timestep.discount,
            timestep.last,
        )


@pytest.mark.parametrize(
    ("value", "at", "in_reward"),
    list(itertools.product((np.nan, np.inf, -np.inf), (1, 2, 3), (False, True))),
)
def test_the_first_step_with_nan_or_infinity_is_kept(value, at, in_reward):
    parts = (jnp.array(part) for part in (1.0, value, at, in_reward))
    environment = NonFiniteScript(*parts)
    assert after(Recorder(), environment, 7).nonfinite_step == at
    assert after(Recorder(), environment, at - 1).nonfinite_step == -1


def test_nan_in_the_first_observation_is_of_step_zero():
    environment = NonFiniteScript(*(jnp.array(part) for part in (1.0, np.nan, 0, False)))
    assert after(Recorder(), environment, 0).nonfinite_step == 0


class NonFiniteLaterReset(Script):
    """Gives NaN at every reset but the first, whose key is that of `run_loop`."""

    def reset(self, key):
        state, observation = super().reset(key)
        first = jax.random.split(jax.random.split(jax.random.key(0), 1)[0], 3)[1]
        same = (jax.random.key_data(key) == jax.random.key_data(first)).all()
        return state, jnp.where(same, observation, jnp.nan)


def test_nan_at_a_later_reset_is_of_the_step_before():
    environment = NonFiniteLaterReset(jnp.array(1.0))
    assert after(Recorder(), environment, 2).nonfinite_step == -1
    assert after(Recorder(), environment, 7).nonfinite_step == 3
