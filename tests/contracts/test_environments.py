"""One battery that every task of the registry and every probe passes."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rtrrl.environments import Box, Discrete, Environment, MultiDiscrete, make, tasks
from rtrrl.types import TimeStep
from tests.probes import PROBES

# Elsewhere: worlds on the host and Brax, which takes minutes to compile; POPGym's higher levels
# differ from the easy ones in numbers alone, and are compared with the oracle.
HERE = [
    info
    for info in tasks()
    if info.backend in ("gymnax", "rtrrl", "popgym") and not info.name.endswith(("Medium", "Hard"))
]
WORLDS = {info.example: functools.partial(make, info.example) for info in HERE} | {
    f"probe-{probe.name}": functools.partial(lambda probe: probe, probe) for probe in PROBES
}
# Nothing in these depends on the key: not the first state, not a step.
CERTAIN = {
    "DeepSea",
    "DeepSea-8",
    "DiscountingChain",
    "SpaceInvaders-MinAtar",
    "probe-ConstantValue",
    "probe-TruncatedValue",
    "probe-ContinuousBandit",
}
# How an episode of random actions can end: "terminated", "truncated", or both kinds.
TRUNCATED = {
    "BernoulliBandit",
    "ConcentrationEasy",
    "ConcentrationMedium",
    "ConcentrationHard",
    "Freeway-MinAtar",
    "GaussianBandit",
    "MountainCarContinuous",
    "MountainCarContinuous-pos",
    "MountainCarContinuous-vel",
    "MultiArmedBanditEasy",
    "MultiArmedBanditMedium",
    "MultiArmedBanditHard",
    "Pendulum",
    "PointRobot",
    "Reacher",
    "Swimmer",
    "probe-TruncatedValue",
}
BOTH = {
    "Acrobot",
    "FourRooms",
    "MetaMaze",
    "MinesweeperEasy",
    "MinesweeperMedium",
    "MinesweeperHard",
    "TMaze-10",
}
STEPS = 1000
LONGER = {"Freeway-MinAtar": 2500}
COPIES = 24


class Episodes:
    """Episodes of one world with the same random actions: the first and the last share a key."""

    def __init__(self, env):
        count = LONGER.get(env.name, STEPS)
        keys = jax.random.split(jax.random.key(7), COPIES - 1)
        self.keys = jnp.concatenate([keys, keys[:1]])
        self.actions = jax.vmap(env.action_space.sample)(jax.random.split(jax.random.key(8), count))

        def step(carry, action):
            state, key, over = carry
            key, key_step = jax.random.split(key)
            after, timestep = env.step(key_step, state, action)
            # A state that changed dtype or shape would not be carried.
            after = jax.tree.map(lambda a, b: jnp.where(over, a, b), state, after)
            return (after, key, over | timestep.last), (timestep, over)

        @jax.jit
        @jax.vmap
        def rollout(key):
            key_reset, key = jax.random.split(key)
            state, first = env.reset(key_reset)
            types = jax.tree.map(lambda leaf: (leaf.shape, leaf.dtype), state)
            carry = (state, key, jnp.zeros((), bool))
            (state, _, over), (steps, past) = jax.lax.scan(step, carry, self.actions)
            assert types == jax.tree.map(lambda leaf: (leaf.shape, leaf.dtype), state)
            return first, steps, ~past, over

        self.env = env
        first, steps, self.taken, self.over = jax.tree.map(np.asarray, rollout(self.keys))
        self.first: np.ndarray = first
        self.steps: TimeStep = steps
        self.lengths = self.taken.sum(1)

    @property
    def observations(self):
        """Every observation seen, the first and the final ones included."""
        seen = self.steps.observation[self.taken]
        return np.concatenate([self.first, seen])


@functools.cache
def episodes(name: str) -> Episodes:
    return Episodes(WORLDS[name]())


@pytest.fixture(params=WORLDS)
def name(request) -> str:
    return request.param


def test_shapes_and_dtypes_are_those_of_the_spaces(name):
    it = episodes(name)
    space, action_space = it.env.observation_space, it.env.action_space
    assert isinstance(space, Box)
    assert len(space.shape) == 1
    assert it.first.shape == (COPIES, space.size)
    steps = LONGER.get(it.env.name, STEPS)
    assert it.steps.observation.shape == (COPIES, steps, space.size)
    assert it.first.dtype == it.steps.observation.dtype == np.float32
    for scalar, dtype in (("reward", np.float32), ("discount", np.float32), ("last", np.bool_)):
        assert getattr(it.steps, scalar).shape == (COPIES, steps)
        assert getattr(it.steps, scalar).dtype == dtype
    assert isinstance(action_space, Discrete | MultiDiscrete) or len(action_space.shape) == 1


def test_what_is_observed_is_finite_and_within_bounds(name):
    it = episodes(name)
    space, seen = it.env.observation_space, it.observation_size
    assert np.isfinite(seen).all()
    assert np.isfinite(it.steps.reward[it.taken]).all()
    slack = 1e-5 * np.maximum(1, np.abs(np.nan_to_num(seen)))
    assert (seen >= np.float32(space.low) - slack).all()
    assert (seen <= np.float32(space.high) + slack).all()


def test_every_episode_ends_and_says_so_once(name):
    it = episodes(name)
    assert it.over.all()
    ends = it.steps.last & it.taken
    assert (ends.sum(1) == 1).all()
    assert (ends.argmax(1) == it.lengths - 1).all()


def test_discount_is_zero_only_at_a_true_terminal(name):
    it = episodes(name)
    discount, last = it.steps.discount[it.taken], it.steps.last[it.taken]
    assert (discount[~last] == 1).all()
    ends = set(discount[last].tolist())
    if name in BOTH:
        assert ends <= {0, 1}
    else:
        assert ends == ({1} if name in TRUNCATED else {0})


def test_the_same_key_gives_the_same_episode(name):
    it = episodes(name)
    np.testing.assert_array_equal(it.first[0], it.first[-1])
    for leaf in jax.tree.leaves(it.steps):
        np.testing.assert_array_equal(leaf[0], leaf[-1])


def test_keys_matter_exactly_where_the_world_is_random(name):
    it = episodes(name)
    seen = np.concatenate([it.first[:, None], it.steps.observation], axis=1)
    rewards = np.where(it.taken, it.steps.reward, 0)
    same = all(
        (seen[i] == seen[0]).all() and (rewards[i] == rewards[0]).all() for i in range(1, COPIES)
    )
    assert same == (name in CERTAIN)


def test_one_step_alone_is_one_step_among_many(name):
    it = episodes(name)
    key_reset, key = jax.random.split(it.keys[3])
    key_step = jax.random.split(key)[1]
    state, first = it.env.reset(key_reset)
    _, timestep = it.env.step(key_step, state, it.actions[0])
    np.testing.assert_allclose(first, it.first[3], rtol=1e-5, atol=1e-6)
    for alone, among in zip(jax.tree.leaves(timestep), jax.tree.leaves(it.steps), strict=True):
        np.testing.assert_allclose(alone, among[3, 0], rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("info", [i for i in HERE if i.random is not None], ids=lambda i: i.name)
def test_the_random_return_is_as_stated(info):
    """Actions differ between copies here: within five standard errors of the stated mean."""
    env = make(info.example)
    assert isinstance(env, Environment)
    length = episodes(info.example).lengths[0]

    def step(carry, key):
        key_action, key_step = jax.random.split(key)
        state, timestep = env.step(key_step, carry, env.action_space.sample(key_action))
        return state, timestep.reward

    @jax.jit
    @jax.vmap
    def returns(key):
        state, _ = env.reset(key)
        return jax.lax.scan(step, state, jax.random.split(key, length + 1)[1:])[1].sum()

    got = np.asarray(returns(jax.random.split(jax.random.key(3), 2000)))
    assert abs(got.mean() - info.random) < 5 * got.std() / np.sqrt(2000) + 1e-5
