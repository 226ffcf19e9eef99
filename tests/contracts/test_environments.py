"""Properties of all environments: every compiled task, and every probe."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rtrrl.environments import Box, Discrete, Environment, MultiDiscrete, make, tasks
from rtrrl.types import TimeStep
from tests.probes import PROBES

# Tested elsewhere: host environments, and Brax, which takes minutes to compile; POPGym's higher
# levels, which differ from the easy ones in numbers only and are compared with the oracle.
COMPILED = [
    info
    for info in tasks()
    if info.backend in ("gymnax", "rtrrl", "popgym") and not info.name.endswith(("Medium", "Hard"))
]
ENVIRONMENTS = {info.example: functools.partial(make, info.example) for info in COMPILED} | {
    f"probe-{probe.name}": functools.partial(lambda probe: probe, probe) for probe in PROBES
}
# Neither the first state nor a step depends on the key.
DETERMINISTIC = {
    "DeepSea",
    "DeepSea-8",
    "DiscountingChain",
    "SpaceInvaders-MinAtar",
    "probe-ConstantValue",
    "probe-TruncatedValue",
    "probe-ContinuousBandit",
}
# Environments whose episodes of random actions are truncated, or can end in both ways.
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
# It runs longer than it compiles.
OPTIMIZED = {
    "Seaquest-MinAtar": {"xla_backend_optimization_level": 3, "xla_cpu_use_fusion_emitters": True}
}


class Episodes:
    """Episodes with the same random actions in each copy; the first and last copy share a key."""

    def __init__(self, env):
        count = LONGER.get(env.name, STEPS)
        keys = jax.random.split(jax.random.key(7), COPIES - 1)
        self.keys = jnp.concatenate([keys, keys[:1]])
        self.actions = jax.vmap(env.action_space.sample)(jax.random.split(jax.random.key(8), count))

        def step(carry, action):
            state, key, over = carry
            key, key_step = jax.random.split(key)
            after, timestep = env.step(key_step, state, action)
            # A loop cannot carry a state whose dtype or shape changes.
            after = jax.tree.map(lambda a, b: jnp.where(over, a, b), state, after)
            return (after, key, over | timestep.last), (timestep, over)

        @functools.partial(jax.jit, compiler_options=OPTIMIZED.get(env.name))
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
        """All observations, the first and the final ones included."""
        return np.concatenate([self.first, self.steps.observation[self.taken]])


@functools.cache
def episodes(name: str) -> Episodes:
    return Episodes(ENVIRONMENTS[name]())


@pytest.fixture(params=ENVIRONMENTS)
def name(request) -> str:
    return request.param


def test_shapes_and_dtypes_are_those_of_the_spaces(name):
    run = episodes(name)
    space, action_space = run.env.observation_space, run.env.action_space
    assert isinstance(space, Box)
    assert len(space.shape) == 1
    assert run.first.shape == (COPIES, space.size)
    steps = LONGER.get(run.env.name, STEPS)
    assert run.steps.observation.shape == (COPIES, steps, space.size)
    assert run.first.dtype == run.steps.observation.dtype == np.float32
    for scalar, dtype in (("reward", np.float32), ("discount", np.float32), ("last", np.bool_)):
        assert getattr(run.steps, scalar).shape == (COPIES, steps)
        assert getattr(run.steps, scalar).dtype == dtype
    assert isinstance(action_space, Discrete | MultiDiscrete) or len(action_space.shape) == 1


def test_observations_are_finite_and_within_bounds(name):
    run = episodes(name)
    space, observations = run.env.observation_space, run.observations
    assert np.isfinite(observations).all()
    assert np.isfinite(run.steps.reward[run.taken]).all()
    slack = 1e-5 * np.maximum(1, np.abs(np.nan_to_num(observations)))
    assert (observations >= np.float32(space.low) - slack).all()
    assert (observations <= np.float32(space.high) + slack).all()


def test_every_episode_ends_once(name):
    run = episodes(name)
    assert run.over.all()
    ends = run.steps.last & run.taken
    assert (ends.sum(1) == 1).all()
    assert (ends.argmax(1) == run.lengths - 1).all()


def test_discount_is_zero_only_at_a_true_terminal(name):
    run = episodes(name)
    discount, last = run.steps.discount[run.taken], run.steps.last[run.taken]
    assert (discount[~last] == 1).all()
    ends = set(discount[last].tolist())
    if name in BOTH:
        assert ends <= {0, 1}
    else:
        assert ends == ({1} if name in TRUNCATED else {0})


def test_the_same_key_gives_the_same_episode(name):
    run = episodes(name)
    np.testing.assert_array_equal(run.first[0], run.first[-1])
    for leaf in jax.tree.leaves(run.steps):
        np.testing.assert_array_equal(leaf[0], leaf[-1])


def test_results_depend_on_the_key_exactly_where_the_environment_is_random(name):
    run = episodes(name)
    observations = np.concatenate([run.first[:, None], run.steps.observation], axis=1)
    rewards = np.where(run.taken, run.steps.reward, 0)
    same = all(
        (observations[i] == observations[0]).all() and (rewards[i] == rewards[0]).all()
        for i in range(1, COPIES)
    )
    assert same == (name in DETERMINISTIC)


def test_a_single_step_equals_a_step_of_a_batch(name):
    run = episodes(name)
    key_reset, key = jax.random.split(run.keys[3])
    key_step = jax.random.split(key)[1]
    state, first = run.env.reset(key_reset)
    _, timestep = run.env.step(key_step, state, run.actions[0])
    np.testing.assert_allclose(first, run.first[3], rtol=1e-5, atol=1e-6)
    for single, batched in zip(jax.tree.leaves(timestep), jax.tree.leaves(run.steps), strict=True):
        np.testing.assert_allclose(single, batched[3, 0], rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    "info", [i for i in COMPILED if i.random is not None], ids=lambda i: i.name
)
def test_the_random_return_is_as_stated(info):
    """The mean over copies with different actions is within five standard errors of the stated."""
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
