"""Contracts of all agents, with each cell, rule and option in at least one of them."""

import dataclasses
import functools

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rtrrl import RTRRL, cells, gradients
from rtrrl.agents import PPO, ActorCritic
from rtrrl.agents.registry import PRESETS, make_agent
from rtrrl.cells import CELLS
from rtrrl.environments import Box, Discrete, Environment, MultiDiscrete
from rtrrl.gradients import RULES
from rtrrl.learning import readouts, traces
from rtrrl.learning.input_pipeline import InputPipeline
from rtrrl.learning.normalizers import ReturnScaledRewards, RunningObservations
from rtrrl.learning.policies import Gaussian, GlobalSpread, VarianceScaledScore
from rtrrl.types import Fixed, TimeStep, parameters
from tests.helpers import with_array_settings
from tests.members import quick_jit

STEPS, SEEDS = 200, 2
SMALL = {name: dataclasses.replace(config, hidden_size=3) for name, config in CELLS.items()}


class Tiny(Environment):
    """Random observations, rewards that grow with actions; episodes of about 7 steps."""

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


ENVIRONMENTS = {
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
"""A cell for each rule; else a GRU, whose units depend on each other and do not leak."""

OTHER_CELLS = set(CELLS) - {"gru", "rtu", *FITTING.values()}

CHANGES = {
    **{
        f"rule-{name}": {"rule": rule, "cell": SMALL[FITTING.get(name, "gru")]}
        for name, rule in RULES.items()
    },
    **{f"cell-{name}": {"cell": SMALL[name]} for name in sorted(OTHER_CELLS)},
    "wired": {
        "cell": cells.CTRNNConfig(hidden_size=8, dt=0.5, wiring=cells.NCP(0.6)),
        "rule": gradients.RFLO(),
    },
    "average-reward-replacing": {
        "gamma": 1.0,
        "average_reward_rate": 0.01,
        "trace": traces.Replacing(),
    },
    "attenuated-no-meta-dutch": {"attenuate": True, "meta_input": False, "trace": traces.Dutch()},
    "global-spread": {
        "policy": Gaussian((-2.0,) * 2, (1.0,) * 2, GlobalSpread(), VarianceScaledScore())
    },
    "normalized": {"inputs": InputPipeline(RunningObservations(), ReturnScaledRewards())},
}
SHORT_ROLLOUTS = {"rollout": 64, "sequence": 8, "minibatches": 2, "epochs": 2}
"""With these PPO learns three times in the steps here."""

NAMED = ("default", "paper", "ppo", "ppo-lru", "model-based", "random")
"""The presets that differ in more than one of the changes above; tests/agents has all."""

DIFFERENT_WHEN_FROZEN = {*NAMED, "attenuated-no-meta-dutch", "normalized", "rule-frozen"}
"""Those that differ in how they act, not only in how they learn."""


def build(name: str, environment: Environment):
    if name not in PRESETS:
        return RTRRL.default(environment, **{"cell": SMALL["rtu"]} | CHANGES[name])
    agent = make_agent(name, environment)
    if not isinstance(agent, ActorCritic):
        return agent
    cell = dataclasses.replace(agent.cell, hidden_size=3)
    return dataclasses.replace(agent, cell=cell, **SHORT_ROLLOUTS if isinstance(agent, PPO) else {})


CONTINUOUS = ("default", "paper", "ppo", "random")
# policies and the rest of an agent are independent: only some presets are run with both kinds
CASES = [
    *((name, "discrete") for name in NAMED),
    *((name, "continuous") for name in CONTINUOUS),
    *(
        (name, ("discrete", "continuous")[i % 2])
        for i, name in enumerate(CHANGES)
        if name != "global-spread"
    ),
    ("global-spread", "continuous"),
    *((name, "choices") for name in ("default", "ppo")),
]
each_case = pytest.mark.parametrize(("name", "kind"), CASES, ids=["-".join(case) for case in CASES])


@functools.cache
def run(name: str, kind: str):
    """200 steps of two seeds: agent, first state, last state, infos and actions."""
    environment = ENVIRONMENTS[kind]
    agent = build(name, environment)

    def body(carry, key):
        state, env_state, action = carry
        env_state, timestep = environment.step(key, env_state, action)
        state, action, info = agent.step(
            state, timestep.observation, timestep.reward, timestep.discount
        )
        reset_state, observation = environment.reset(jax.random.fold_in(key, 1))
        first_state, first_action = agent.begin(state, observation)
        carry = jax.tree.map(
            lambda new, old: jnp.where(timestep.last, new, old),
            (first_state, reset_state, first_action),
            (state, env_state, action),
        )
        return carry, (info, action)

    @quick_jit
    @jax.vmap
    def run_seed(key):
        first = agent.init(key)
        env_state, observation = environment.reset(key)
        state, action = agent.begin(first, observation)
        start = (state, env_state, action)
        # a scan refuses a state whose structure, shapes or dtypes change
        (last, _, _), history = jax.lax.scan(body, start, jax.random.split(key, STEPS))
        return first, last, history

    first, last, (info, actions) = run_seed(jax.random.split(jax.random.key(1), SEEDS))
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
    _, _, last, info, actions = run(name, kind)
    for leaf in numbers((last, info, actions)):
        assert np.isfinite(leaf).all()
    for leaf in jax.tree.leaves(info):
        assert leaf.shape == (SEEDS, STEPS)


@each_case
def test_actions_are_in_the_action_space(name, kind):
    *_, actions = run(name, kind)
    space = ENVIRONMENTS[kind].action_space
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
    assert (actions[0] != actions[1]).any(), "the two seeds differ"


@each_case
def test_trainable_parameters_change_and_others_do_not(name, kind):
    agent, first, last, *_ = run(name, kind)
    if not isinstance(agent, ActorCritic):
        assert first.steps.shape == (SEEDS,)
        return
    before, after = first.params, last.params
    for part in ("actor", "critic"):
        old, new = (numbers(parameters(getattr(each, part))) for each in (before, after))
        assert all((a != b).any(axis=-1).all() for a, b in zip(old, new, strict=True))
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
    for name in after.cell.feedforward:
        assert (getattr(before.cell, name) != getattr(after.cell, name)).any()
    if isinstance(after.cell, cells.CTRNN):
        assert (after.cell.tau >= 1).all()
        assert (np.asarray(after.cell.weight)[~np.asarray(after.cell.mask)] == 0).all()
    if isinstance(agent, RTRRL):
        assert (np.abs(last.average_reward) > 0).all() == (agent.average_reward_rate > 0)


def _zeros(leaf):
    key = jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key)
    return jax.random.key(0) if key else jnp.zeros(leaf.shape, leaf.dtype)


def _fixed(tree):
    return [
        node
        for node in jax.tree.leaves(tree, is_leaf=lambda node: isinstance(node, Fixed))
        if isinstance(node, Fixed)
    ]


@pytest.mark.parametrize("name", ["default", "ppo", "model-based", "random"])
def test_methods_of_an_agent_can_be_compiled_as_they_are(name):
    """`jax.jit(agent.step)`, frozen or not, with arrays among the settings or not."""
    key, agent = jax.random.key(0), build(name, ENVIRONMENTS["discrete"])
    state = jax.eval_shape(jax.jit(agent.init), key)
    frozen = agent.frozen(jax.tree.map(_zeros, state))
    frozen_state = jax.eval_shape(jax.jit(frozen.init), key)
    numbers = jnp.zeros(2), jnp.zeros(()), jnp.ones(())
    cases = (agent, state), (with_array_settings(agent), state), (frozen, frozen_state)
    for each, before in cases:
        after, _ = jax.eval_shape(jax.jit(each.begin), before, numbers[0])
        jax.eval_shape(jax.jit(each.step), after, *numbers)


def test_frozen_agents_of_one_shape_are_compiled_separately():
    agent = build("default", ENVIRONMENTS["discrete"])
    keys = jax.random.split(jax.random.key(0))
    players = [agent.frozen(quick_jit(agent.init)(key)) for key in keys]
    assert hash(players[0]) == hash(players[1])
    first, second = (quick_jit(each.begin)(each.init(keys[0]), jnp.ones(2))[0] for each in players)
    assert not np.allclose(first.last.outputs, second.last.outputs)


@pytest.mark.parametrize(
    ("name", "kind"),
    [case for case in CASES if case[0] in DIFFERENT_WHEN_FROZEN],
    ids=lambda part: part,
)
def test_a_frozen_agent_acts_and_does_not_learn(name, kind):
    agent, _, last, *_ = run(name, kind)
    state = jax.tree.map(lambda leaf: leaf[0], last)
    environment, frozen = ENVIRONMENTS[kind], agent.frozen(state)

    @quick_jit
    def run_frozen(key):
        start = frozen.begin(frozen.init(key), environment.reset(key)[1])

        def body(carry, key):
            state, action = carry
            _, timestep = environment.step(key, jnp.zeros(()), action)
            # a reward that would change any parameter that is still learned
            reward = 1e3 * timestep.reward
            state, action, info = frozen.step(
                state, timestep.observation, reward, timestep.discount
            )
            return (state, action), info

        return jax.lax.scan(body, start, jax.random.split(key, 20))

    (end, action), info = run_frozen(jax.random.key(2))
    if isinstance(agent, ActorCritic):
        theirs, ours = frozen.params, state.params
        assert same((theirs.actor, theirs.cell), (ours.actor, ours.cell))
    assert eqx.tree_equal(frozen, frozen.frozen(end))
    assert all(np.isfinite(leaf).all() for leaf in numbers((end, info)))
    assert action.shape == agent.policy.no_action.shape
    # too small for anything learned
    assert sum(leaf.size for leaf in numbers(end)) < 64
