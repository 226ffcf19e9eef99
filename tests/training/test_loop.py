"""The loop between an agent and its world, by hand on worlds that are known whole."""

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
from rtrrl.training.loop import _in_turn, _side_by_side, birth, live
from rtrrl.types import TimeStep

OBSERVATIONS = (0.25, 0.5, 1.0, 2.0)
REWARDS = (1.0, 2.0, 4.0)


class Script(Environment):
    """Three steps of known observations and rewards; `discount` tells the kind of the end."""

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
            discount=jnp.where(last, self.gamma, 1.0),
            last=last,
        )


class Scribe(Agent):
    """Learns nothing and writes down every call: 0 for `begin`, 1 for `step`."""

    task: str = "Script"

    def init(self, key):
        return jnp.full((16, 4), jnp.nan), jnp.zeros((), jnp.int32)

    def begin(self, state, observation):
        return self._note(state, 0.0, observation, jnp.nan, jnp.nan), jnp.zeros((), jnp.int32)

    def step(self, state, observation, reward, discount):
        state = self._note(state, 1.0, observation, reward, discount)
        return state, jnp.zeros((), jnp.int32), Info(reward, reward, jnp.array(0.5))

    def frozen(self, state, greedy=False):
        return self

    def _note(self, state, kind, observation, reward, discount):
        page, line = state
        return page.at[line].set(jnp.stack([kind, observation[0], reward, discount])), line + 1


@pytest.fixture(params=[1.0, 0.0], ids=["truncated", "terminated"])
def discount(request) -> float:
    return request.param


def lived(agent: Agent, environment: Environment, steps: int):
    """One seed after `steps` steps, and the state it was born with."""
    lives = jax.vmap(lambda key: birth(agent, environment, key))(
        jax.random.split(jax.random.key(0), 1)
    )
    after = jax.jit(live, static_argnums=0)(agent, environment, lives, jnp.array(steps, jnp.int32))
    return jax.tree.map(lambda leaf: leaf[0], (after, lives))


def test_the_agent_is_told_the_real_end_and_then_of_the_next_beginning(discount):
    life, _ = lived(Scribe(), Script(jnp.array(discount)), 7)
    page, lines = life.agent
    nan = np.nan
    episode = [
        [0, OBSERVATIONS[0], nan, nan],
        [1, OBSERVATIONS[1], REWARDS[0], 1],
        [1, OBSERVATIONS[2], REWARDS[1], 1],
        [1, OBSERVATIONS[3], REWARDS[2], discount],
    ]
    np.testing.assert_array_equal(page[:lines], [*episode, *episode, *episode[:2]])


def test_the_tally_counts_whole_episodes_and_all_steps(discount):
    life, _ = lived(Scribe(), Script(jnp.array(discount)), 7)
    tally = life.tally
    assert (tally.episodes, tally.steps, life.steps) == (2, 7, 7)
    assert tally.returns == 2 * sum(REWARDS)
    assert life.episode_return == REWARDS[0]
    # Scribe's TD error is the reward, its entropy ½
    assert tally.squared_td_error == 2 * (1 + 4 + 16) + 1
    assert tally.entropy == 3.5


def test_truncation_bootstraps_from_the_final_observation_and_a_terminal_does_not(discount):
    gamma = 0.5
    agent = RTRRL.default(
        Script(jnp.array(1.0)),
        cell=MemorylessConfig(hidden_size=2),
        rule=Immediate(),
        optimizer=Adam(learning_rate=0.0),
        observation_normalizer=RawObservations(),
        reward_normalizer=RawRewards(),
        exploration_bonus=NoBonus(),
        meta_input=False,
        gamma=gamma,
    )
    life, born = lived(agent, Script(jnp.array(discount)), 3)
    theta = born.agent.parameters

    def value(observation: float) -> float:
        features = [observation, 1.0] @ np.asarray(theta.cell.weight)
        return float(np.asarray(theta.critic.weight)[0] @ [*features, 1.0])

    v = [value(observation) for observation in OBSERVATIONS]
    deltas = [
        REWARDS[0] + gamma * v[1] - v[0],
        REWARDS[1] + gamma * v[2] - v[1],
        REWARDS[2] + gamma * discount * v[3] - v[2],
    ]
    assert abs(v[3]) > 0.1, "the bootstrap must show"
    np.testing.assert_allclose(life.tally.squared_td_error, np.sum(np.square(deltas)), rtol=1e-5)
    # the next episode has begun: the value is that of its first observation
    np.testing.assert_allclose(life.agent.value, v[0], rtol=1e-5)
    np.testing.assert_array_equal(life.agent.now.x, [OBSERVATIONS[0]])


def several(seeds: int):
    """A task in which episodes end at different times, and agents that differ in their γ."""
    world = make("CartPole-vel")
    # with novelty XLA makes another program of one life than of three: the last bits differ
    agent = RTRRL.default(
        world, discount=jnp.linspace(0.9, 0.99, seeds), exploration_bonus=NoBonus()
    )
    keys = jax.random.split(jax.random.key(1), seeds)
    with_key = eqx.filter_vmap(birth, in_axes=(eqx.if_array(0), None, 0))
    return agent, world, with_key(agent, world, keys)


def go(run, agent, world, lives, steps: int = 200):
    """`run` compiled, and what is left of the lives that is not static."""
    return eqx.filter(eqx.filter_jit(run)(agent, world, lives, jnp.array(steps), 1), eqx.is_array)


def one_of(tree, i: int):
    return jax.tree.map(lambda leaf: leaf[i : i + 1] if eqx.is_array(leaf) else leaf, tree)


def test_a_life_is_the_same_to_the_bit_however_many_others_there_are():
    agent, world, lives = several(3)
    together = go(live, agent, world, lives)
    assert (together.tally.episodes > 1).all()
    for i in range(3):
        alone = go(live, one_of(agent, i), world, one_of(lives, i))
        for mine, ours in zip(
            jax.tree.leaves(alone), jax.tree.leaves(one_of(together, i)), strict=True
        ):
            assert jnp.array_equal(mine, ours)


def test_seeds_side_by_side_live_as_in_turn():
    agent, world, lives = several(3)
    in_turn, abreast = (go(run, agent, world, lives, 40) for run in (_in_turn, _side_by_side))
    assert (in_turn.tally.episodes > 0).any()
    # in other programs, other roundings; a step or an episode amiss would show
    jax.tree.map(lambda a, b: np.testing.assert_array_equal(a, b), in_turn.steps, abreast.steps)
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-4),
        in_turn.agent.parameters,
        abreast.agent.parameters,
    )


class Spoilt(Script):
    """Gives `spoil` as reward or observation from the episode's step `at` on (0: the reset)."""

    spoil: Array
    at: Array
    in_reward: Array

    def reset(self, key):
        state, observation = super().reset(key)
        return state, jnp.where(self.at == 0, self.spoil, observation)

    def step(self, key, state, action):
        state, seen = super().step(key, state, action)
        now = state == self.at
        return state, TimeStep(
            jnp.where(now & ~self.in_reward, self.spoil, seen.observation),
            jnp.where(now & self.in_reward, self.spoil, seen.reward),
            seen.discount,
            seen.last,
        )


@pytest.mark.parametrize("in_reward", [True, False], ids=["reward", "observation"])
@pytest.mark.parametrize("spoil", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("at", [1, 2, 3])
def test_the_first_number_that_is_not_finite_is_noticed(spoil, at, in_reward):
    world = Spoilt(*(jnp.array(part) for part in (1.0, spoil, at, in_reward)))
    life, _ = lived(Scribe(), world, 7)
    assert life.broken == at
    assert lived(Scribe(), world, at - 1)[0].broken == -1


def test_a_reset_that_is_not_finite_is_noticed_at_birth_and_later():
    world = Spoilt(*(jnp.array(part) for part in (1.0, np.nan, 0, False)))
    assert lived(Scribe(), world, 0)[0].broken == 0

    class LaterSpoilt(Script):
        """Good at birth (whose key is known), NaN at every other reset."""

        def reset(self, key):
            state, observation = super().reset(key)
            first = jax.random.split(jax.random.split(jax.random.key(0), 1)[0], 3)[1]
            same = (jax.random.key_data(key) == jax.random.key_data(first)).all()
            return state, jnp.where(same, observation, jnp.nan)

    world = LaterSpoilt(jnp.array(1.0))
    assert lived(Scribe(), world, 2)[0].broken == -1
    assert lived(Scribe(), world, 7)[0].broken == 3
