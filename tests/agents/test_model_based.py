"""A model-based agent in tiny worlds: what it foresees, learns, keeps and refuses."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rtrrl import evaluate
from rtrrl.agents import ModelBased
from rtrrl.agents.world_model import LatentState, WorldModel
from rtrrl.cells import CTRNNConfig, MemorylessConfig, RTUConfig
from rtrrl.errors import UnsupportedCellError, UnsupportedSpaceError
from rtrrl.gradients import Immediate
from rtrrl.learning.normalizers import RawObservations, RawRewards
from rtrrl.runs import serialization
from rtrrl.training.loop import birth, live
from tests.members import quick_jit
from tests.probes import (
    ConstantValue,
    ContinuousBandit,
    OneStepReward,
    TruncatedValue,
    five_step_recall,
)

SEEDS = 4
SMALL = {"cell": RTUConfig(hidden_size=4), "horizon": 3, "rollouts": 2}


def lived(agent, world, steps):
    """The states of four seeds' agents after so many steps."""
    keys = jax.random.split(jax.random.key(0), SEEDS)
    born = quick_jit(jax.vmap(lambda key: birth(agent, world, key)))(keys)
    return quick_jit(functools.partial(live, agent, world))(born, jnp.array(steps, jnp.int32)).agent


def score(agent, world, states):
    """Each seed's mean return over 50 episodes."""
    play = quick_jit(jax.vmap(lambda state, key: evaluate(agent, state, world, key, 50).mean()))
    return np.asarray(play(states, jax.random.split(jax.random.key(1), SEEDS)))


def foreseen(states):
    """What each seed's model expects of the action that it has just chosen."""

    def one(state):
        model = WorldModel(state.parameters.cell, state.parameters.critic)
        return model.step(LatentState(state.now.h, state.now.x), state.now.action)[1]

    return jax.vmap(one)(states)


def test_it_learns_what_an_action_is_worth_in_a_context():
    """Without looking at the context the mean is ½."""
    world = OneStepReward()
    agent = ModelBased.default(world)
    assert (score(agent, world, lived(agent, world, 1000)) > 0.9).all()


def test_it_recalls_a_cue_of_seven_steps_ago():
    """Without memory the mean is 0, whatever is done."""
    world = five_step_recall()
    agent = ModelBased.default(world)
    assert (score(agent, world, lived(agent, world, 4000)) > 0.9).all()


def test_recall_needs_a_recurrence():
    world = five_step_recall()
    agent = ModelBased.default(world, cell=MemorylessConfig(), rule=Immediate())
    assert (np.abs(score(agent, world, lived(agent, world, 4000))) < 0.6).all()


@pytest.mark.parametrize(
    ("world", "goes_on"), [(ConstantValue(), 0.0), (TruncatedValue(4), 1.0)], ids=["end", "cut"]
)
def test_it_foresees_terminations_and_no_truncations(world, goes_on):
    agent = ModelBased.default(world, **SMALL, gamma=0.9)
    states = lived(agent, world, 6000)
    expected = foreseen(states)
    np.testing.assert_allclose(expected.discount, goes_on, atol=0.1)
    unit = jax.vmap(lambda s: agent.reward_normalizer(s.reward_statistics, jnp.ones(())))(states)
    np.testing.assert_allclose(expected.reward / unit, 1.0, atol=0.1)


def test_seeds_side_by_side_are_as_each_alone():
    agent = ModelBased.default(OneStepReward(), **SMALL)
    observed = jax.random.normal(jax.random.key(1), (20, 2))

    def life(key):
        state, _ = agent.begin(agent.init(key), observed[0])

        def turn(state, o):
            return agent.step(state, o, o.sum(), jnp.ones(()))[0], None

        return jax.lax.scan(turn, state, observed[1:])[0]

    keys = jax.random.split(jax.random.key(0), SEEDS)
    together, alone = quick_jit(jax.vmap(life))(keys), quick_jit(life)(keys[2])
    for ours, theirs in zip(*map(jax.tree.leaves, (together, alone)), strict=True):
        if jnp.issubdtype(ours.dtype, jnp.number):
            assert np.isfinite(ours).all()
            np.testing.assert_allclose(ours[2], theirs, rtol=1e-4, atol=1e-5)
    assert (together.parameters.actor.weight[0] != together.parameters.actor.weight[1]).any()


def test_a_frozen_agent_does_not_learn_and_acts_as_one_that_cannot():
    world = five_step_recall()
    raw = {"observation_normalizer": RawObservations(), "reward_normalizer": RawRewards()}
    agent = ModelBased.default(world, **SMALL, **raw)
    state = jax.tree.map(lambda leaf: leaf[0], lived(agent, world, 50))
    still = dataclasses.replace(
        agent, optimizer=dataclasses.replace(agent.optimizer, learning_rate=0.0)
    )

    @quick_jit
    def play(key):
        frozen, observation = agent.frozen(state), world.reset(key)[1]
        start = dataclasses.replace(frozen.init(key), key=state.key, steps=state.steps)
        told = observation, jnp.asarray(1e3), jnp.ones(())  # what no learner could ignore
        ours, first = frozen.begin(start, observation)
        ours, second, info = frozen.step(ours, *told)
        theirs, third = still.begin(state, observation)
        theirs, fourth, _ = still.step(theirs, *told)
        return (
            frozen,
            frozen.frozen(ours),
            (ours.now, first, second),
            (theirs.now, third, fourth),
            info,
        )

    before, after, ours, theirs, info = play(jax.random.key(3))
    for was, now in zip(jax.tree.leaves(before), jax.tree.leaves(after), strict=True):
        np.testing.assert_array_equal(was, now)
    for mine, other in zip(jax.tree.leaves(ours), jax.tree.leaves(theirs), strict=True):
        np.testing.assert_allclose(mine, other, rtol=1e-5, atol=1e-6)
    assert all(np.isfinite(leaf) for leaf in jax.tree.leaves(info))


def test_the_greedy_player_takes_the_most_probable_action():
    world = OneStepReward()
    agent = ModelBased.default(world, **SMALL)
    state = jax.tree.map(lambda leaf: leaf[0], lived(agent, world, 50))

    @quick_jit
    @jax.vmap
    def choices(key):
        player = agent.frozen(state, greedy=True)
        play, action = player.begin(player.init(key), world.reset(jax.random.key(0))[1])
        return action, jnp.argmax(play.now.y)

    actions, best = choices(jax.random.split(jax.random.key(0), 30))
    assert len(set(actions.tolist())) == 1
    np.testing.assert_array_equal(actions, best)


def test_what_it_cannot_be_is_refused_in_one_line():
    with pytest.raises(UnsupportedSpaceError, match="Discrete"):
        ModelBased.default(ContinuousBandit())
    world = OneStepReward()
    for name, wrong in {
        "horizon": 0,
        "rollouts": 0,
        "discount": 1.5,
        "trace_decay": -0.1,
        "meta_input": False,
    }.items():
        with pytest.raises(ValueError, match=name):
            ModelBased.default(world, **{name: wrong})
    with pytest.raises(UnsupportedCellError):
        ModelBased.default(world, cell=CTRNNConfig(hidden_size=2)).init(jax.random.key(0))


def test_it_can_be_written_down_and_read_back():
    agent = ModelBased.default("TMaze-3", horizon=7, rollouts=2, lambda_=0.5)
    assert serialization.from_dict(serialization.to_dict(agent)) == agent
