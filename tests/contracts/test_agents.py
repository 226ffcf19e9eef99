"""One battery that every agent passes: each cell, rule and option in one of them at least."""

import dataclasses
import functools

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rtrrl import RTRRL, cells, gradients
from rtrrl.agents import PPO, ActorCritic
from rtrrl.agents.registry import PRESETS, preset
from rtrrl.cells import CELLS
from rtrrl.environments import Box, Discrete, Environment, MultiDiscrete
from rtrrl.gradients import RULES
from rtrrl.learning import readouts, traces
from rtrrl.learning.normalizers import ReturnScaledRewards, RunningObservations
from rtrrl.learning.policies import Gaussian, GlobalSpread, VarianceScaledScore
from rtrrl.types import Fixed, TimeStep, parameters
from tests.members import quick_jit

STEPS, SEEDS = 200, 2
SMALL = {name: dataclasses.replace(recipe, hidden_size=3) for name, recipe in CELLS.items()}


class Tiny(Environment):
    """Noise for observations, reward for large actions; ends every 7 or so steps, both ways."""

    actions: Discrete | MultiDiscrete | Box = eqx.field(static=True)

    @property
    def observation_space(self):
        return Box.of(-np.inf, np.inf, (2,))

    @property
    def action_space(self):
        return self.actions

    def reset(self, key):
        return jnp.zeros(()), jax.random.normal(key, (2,))

    def step(self, key, state, action):
        keys = jax.random.split(key, 3)
        terminated, truncated = jax.random.bernoulli(keys[0], 0.07, (2,))
        observation = 3.0 + 2.0 * jax.random.normal(keys[1], (2,))
        reward = jnp.sum(action) + jax.random.normal(keys[2])
        return state, TimeStep(observation, reward, 1.0 - terminated, terminated | truncated)


WORLDS = {
    "discrete": Tiny(Discrete(3)),
    "continuous": Tiny(Box.of(-2, 1, (2,))),
    "choices": Tiny(MultiDiscrete((2, 3))),
}

FITTING = {
    "snap1": "lstm",
    "diagonal-rtrl": "lru",
    "rflo": "ctrnn",
    "immediate": "memoryless",
    "frozen": "lru",
}
"""A cell for each rule; a GRU, whose units read each other and do not leak, where it will do."""

UNSEEN = set(CELLS) - {"gru", "rtu", *FITTING.values()}

CHANGES = {
    **{
        f"rule-{name}": {"rule": rule, "cell": SMALL[FITTING.get(name, "gru")]}
        for name, rule in RULES.items()
    },
    **{f"cell-{name}": {"cell": SMALL[name]} for name in sorted(UNSEEN)},
    "wired": {
        "cell": cells.CTRNNConfig(hidden_size=8, dt=0.5, wiring=cells.NCP(0.6)),
        "rule": gradients.RFLO(),
    },
    "average-reward-replacing": {
        "discount": 1.0,
        "average_reward_rate": 0.01,
        "trace": traces.Replacing(),
    },
    "attenuated-alone-dutch": {"attenuate": True, "meta_input": False, "trace": traces.Dutch()},
    "one-width": {
        "policy": Gaussian((-2.0,) * 2, (1.0,) * 2, GlobalSpread(), VarianceScaledScore())
    },
    "normalized": {
        "observation_normalizer": RunningObservations(),
        "reward_normalizer": ReturnScaledRewards(),
    },
}
BRIEF = {"rollout": 64, "sequence": 8, "minibatches": 2, "epochs": 2}
"""So that PPO learns thrice in the steps here."""


NAMED = ("default", "paper", "ppo", "ppo-lru", "model-based", "random")
"""The presets that are more than one of the changes above; tests/test_presets.py has them all."""

PLAYING = {*NAMED, "attenuated-alone-dutch", "normalized", "rule-frozen"}
"""Those that differ in how they act, not in how they learn alone."""


def build(name: str, world: Environment):
    if name not in PRESETS:
        return RTRRL.default(world, **{"cell": SMALL["rtu"]} | CHANGES[name])
    agent = preset(name, world)
    if not isinstance(agent, ActorCritic):
        return agent
    cell = dataclasses.replace(agent.cell, hidden_size=3)
    return dataclasses.replace(agent, cell=cell, **BRIEF if isinstance(agent, PPO) else {})


CONTINUOUS = ("default", "paper", "ppo", "random")
# Policies and the rest of an agent know nothing of each other: some presets alone see both kinds.
CASES = [
    *((name, "discrete") for name in NAMED),
    *((name, "continuous") for name in CONTINUOUS),
    *(
        (name, ("discrete", "continuous")[i % 2])
        for i, name in enumerate(CHANGES)
        if name != "one-width"
    ),
    ("one-width", "continuous"),
    *((name, "choices") for name in ("default", "ppo")),
]
each_case = pytest.mark.parametrize(("name", "kind"), CASES, ids=["-".join(case) for case in CASES])


@functools.cache
def lives(name: str, kind: str):
    """200 steps of two seeds: agent, first state, last state, what was seen of each step."""
    world = WORLDS[kind]
    agent = build(name, world)

    def turn(carry, key):
        state, place, action = carry
        place, seen = world.step(key, place, action)
        state, action, info = agent.step(state, seen.observation, seen.reward, seen.discount)
        done = action
        place_0, observation = world.reset(jax.random.fold_in(key, 1))
        begun = agent.begin(state, observation)
        carry = jax.tree.map(
            lambda new, old: jnp.where(seen.last, new, old),
            (begun[0], place_0, begun[1]),
            (state, place, action),
        )
        return carry, (info, done)

    @quick_jit
    @jax.vmap
    def life(key):
        first = agent.init(key)
        place, observation = world.reset(key)
        state, action = agent.begin(first, observation)
        start = (state, place, action)
        # a scan refuses a state whose structure, shapes or dtypes change
        (last, _, _), history = jax.lax.scan(turn, start, jax.random.split(key, STEPS))
        return first, last, history

    first, last, (info, actions) = life(jax.random.split(jax.random.key(1), SEEDS))
    return agent, first, last, info, np.asarray(actions)


def numbers(tree) -> list[np.ndarray]:
    return [
        np.asarray(leaf) for leaf in jax.tree.leaves(tree) if jnp.issubdtype(leaf.dtype, jnp.number)
    ]


def same(ours, theirs) -> bool:
    pairs = zip(numbers(ours), numbers(theirs), strict=True)
    return all((a == b).all() for a, b in pairs)


@each_case
def test_every_number_stays_finite(name, kind):
    _, _, last, info, actions = lives(name, kind)
    for leaf in numbers((last, info, actions)):
        assert np.isfinite(leaf).all()
    for leaf in jax.tree.leaves(info):
        assert leaf.shape == (SEEDS, STEPS)


@each_case
def test_actions_are_of_the_space(name, kind):
    *_, actions = lives(name, kind)
    space = WORLDS[kind].action_space
    if isinstance(space, Discrete):
        assert actions.shape == (SEEDS, STEPS)
        assert np.issubdtype(actions.dtype, np.integer)
        assert set(np.unique(actions)) == set(range(space.n))
    elif isinstance(space, MultiDiscrete):
        assert actions.shape == (SEEDS, STEPS, len(space.sizes))
        for i, size in enumerate(space.sizes):
            assert set(np.unique(actions[..., i])) == set(range(size))
    else:
        assert actions.shape == (SEEDS, STEPS, *space.shape)
        assert (actions >= np.array(space.low)).all()
        assert (actions <= np.array(space.high)).all()
        assert actions.std() > 0.01
    assert (actions[0] != actions[1]).any(), "two keys, two lives"


@each_case
def test_all_that_should_learn_does_and_nothing_else(name, kind):
    agent, first, last, *_ = lives(name, kind)
    if not isinstance(agent, ActorCritic):
        assert first.steps.shape == (SEEDS,)
        return
    before, after = first.parameters, last.parameters
    for part in ("actor", "critic"):
        read, learnt = (numbers(parameters(getattr(each, part))) for each in (before, after))
        assert all((a != b).any(axis=-1).all() for a, b in zip(read, learnt, strict=True))
    assert same(_fixed(before), _fixed(after))
    assert bool(numbers(_fixed(before))) == (agent.feedback == readouts.RandomFeedback())
    carried = jax.vmap(cells.recurrent_parameters)
    if getattr(agent, "rule", None) == gradients.Frozen():
        assert same(carried(before.cell), carried(after.cell))
    else:
        for ours, theirs in zip(
            numbers(carried(before.cell)), numbers(carried(after.cell)), strict=True
        ):
            assert (ours != theirs).any()
    for shape_only in after.cell.feedforward:
        assert (getattr(before.cell, shape_only) != getattr(after.cell, shape_only)).any()
    if isinstance(after.cell, cells.CTRNN):
        assert (after.cell.tau >= 1).all()
        assert (np.asarray(after.cell.weight)[~np.asarray(after.cell.mask)] == 0).all()
    if isinstance(agent, RTRRL):
        assert (np.abs(last.average_reward) > 0).all() == (agent.average_reward_rate > 0)


def _fixed(tree):
    return [
        node
        for node in jax.tree.leaves(tree, is_leaf=lambda node: isinstance(node, Fixed))
        if isinstance(node, Fixed)
    ]


@pytest.mark.parametrize(
    ("name", "kind"), [case for case in CASES if case[0] in PLAYING], ids=lambda part: part
)
def test_the_frozen_agent_acts_and_does_not_learn(name, kind):
    agent, _, last, *_ = lives(name, kind)
    state = jax.tree.map(lambda leaf: leaf[0], last)
    world = WORLDS[kind]

    @quick_jit
    def play(key):
        player = agent.frozen(state)
        start, action = player.begin(player.init(key), world.reset(key)[1])

        def turn(carry, key):
            play, action = carry
            _, seen = world.step(key, jnp.zeros(()), action)
            # a reward that no learner could ignore
            play, action, info = player.step(
                play, seen.observation, 1e3 * seen.reward, seen.discount
            )
            return (play, action), info

        (end, action), info = jax.lax.scan(turn, (start, action), jax.random.split(key, 20))
        return player, player.frozen(end), end, action, info

    player, after, end, action, info = play(jax.random.key(2))
    if isinstance(agent, ActorCritic):
        theirs, ours = player.parameters, state.parameters
        assert same((theirs.actor, theirs.cell), (ours.actor, ours.cell))
    assert same(player, after)
    assert all(np.isfinite(leaf).all() for leaf in numbers((end, info)))
    assert action.shape == agent.policy.no_action.shape
    # a player carries its present and its key; no room for anything learned
    assert sum(leaf.size for leaf in numbers(end)) < 64
