import os
import subprocess
import sys

import gymnax
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rtrrl.environments import (
    Box,
    Discrete,
    Gymnax,
    Masked,
    TruncationAsTermination,
    Wrapper,
    make,
    tasks,
)
from rtrrl.errors import RtrrlError, UnknownNameError


def always(action):
    return lambda time, observation, memory: (jnp.asarray(action), memory)


def balance(time, observation, memory):
    """A linear rule that keeps the pole up and the cart near the middle."""
    _, _, angle, spin = observation
    x, v = observation[:2]
    return (angle + 0.3 * spin + 0.02 * x + 0.05 * v > 0).astype(jnp.int32), memory


def adapter(env):
    """The adapter inside the wrappers, None if there is none."""
    while isinstance(env, Wrapper):
        env = env.env
    return env if isinstance(env, Gymnax) else None


UNUSED_DRAWS = ("DeepSea-bsuite", "Catch-bsuite", "Acrobot-v1")
DETERMINISTIC = {
    env.id: env
    for env in (adapter(make(info.example)) for info in tasks())
    if env is not None and not env.random
}


@pytest.mark.parametrize("id", sorted(set(DETERMINISTIC) - set(UNUSED_DRAWS)))
def test_environments_declared_deterministic_do_not_use_the_key(id):
    """`random=False` holds for most environments that the list of tasks declares so."""
    environment, params = gymnax.make(id)
    action = environment.action_space(params).sample(jax.random.key(0))
    _, state = environment.reset_env(jax.random.key(0), params)
    step = jax.make_jaxpr(lambda key: environment.step_env(key, state, action, params))
    jaxpr = step(jax.random.key(0)).jaxpr
    (key,) = jaxpr.invars
    assert jaxpr.eqns
    assert not any(key is read for equation in jaxpr.eqns for read in equation.invars)


@pytest.mark.parametrize("id", UNUSED_DRAWS)
def test_a_constant_generator_does_not_change_the_result(id):
    """`random=False` holds for the rest, which draw numbers and do not use them."""
    assert id in DETERMINISTIC
    environment, params = gymnax.make(id)
    env = Gymnax(id, random=False)
    key = jax.random.key(5)
    observation, theirs = environment.reset_env(key, params)
    ours, first = env.reset(key)
    np.testing.assert_array_equal(observation, first)
    step = jax.jit(lambda key, state, action: environment.step_env(key, state, action, params))
    for t in range(5):
        action = jnp.asarray(t % 2)
        expected, theirs, reward, terminated, _ = step(jax.random.key(t), theirs, action)
        ours, got = jax.jit(env.step)(jax.random.key(t + 100), ours, action)
        np.testing.assert_allclose(got.observation, expected, rtol=1e-6)
        np.testing.assert_allclose(got.reward, reward, rtol=1e-6)
        assert got.last == terminated


def test_a_time_limit_truncates_with_the_real_final_observation(play):
    env = make("CartPole")
    observations, rewards, discounts, last = play(env, balance, 600)
    assert len(rewards) == 500
    assert rewards.sum() == 500
    assert discounts[-1] == 1
    assert last[-1]
    # The final observation follows from the one before by the equations of motion: no reset.
    x, v, angle, spin = observations[-2]
    np.testing.assert_allclose(
        observations[-1][[0, 2]], [x + 0.02 * v, angle + 0.02 * spin], atol=1e-6
    )

    again, _, discounts, _ = play(TruncationAsTermination(env), balance, 600)
    np.testing.assert_array_equal(again, observations)
    assert discounts[-1] == 0
    assert (discounts[:-1] == 1).all()


def test_a_fall_is_a_termination(play):
    observations, rewards, discounts, _ = play(make("CartPole"), always(1), 100)
    assert len(rewards) < 20
    assert discounts[-1] == 0
    assert abs(observations[-1][2]) > 12 * np.pi / 180 >= abs(observations[-2][2])


@pytest.mark.parametrize(
    ("name", "full_name", "columns"),
    [
        ("CartPole-pos", "CartPole", [0, 2]),
        ("CartPole-vel", "CartPole", [1, 3]),
        ("MountainCarContinuous-pos", "MountainCarContinuous", [0]),
        ("MountainCarContinuous-vel", "MountainCarContinuous", [1]),
    ],
)
def test_a_mask_keeps_its_columns(play, name, full_name, columns):
    masked, full = make(name), make(full_name)
    action = 1 if isinstance(full.action_space, Discrete) else jnp.ones(1)
    observations, *rest = play(full, always(action), 1000)
    part, *same = play(masked, always(action), 1000)
    np.testing.assert_array_equal(part, observations[:, columns])
    for a, b in zip(rest, same, strict=True):
        np.testing.assert_array_equal(a, b)
    space, shown = full.observation_space, masked.observation_space
    assert isinstance(space, Box)
    assert isinstance(shown, Box)
    assert shown.low == tuple(space.low[i] for i in columns)
    assert shown.high == tuple(space.high[i] for i in columns)


@pytest.mark.parametrize("length", [1, 2, 5, 32, 1200])
def test_memory_chain_lasts_n_plus_1_steps_and_memory_solves_it(play, length):
    def remember(time, observation, memory):
        memory = jnp.where(time == 0, (observation[2] > 0).astype(jnp.int32), memory)
        return memory, memory

    for seed in range(3):
        observations, rewards, discounts, _ = play(
            make(f"MemoryChain-{length}"), remember, length + 3, seed
        )
        assert len(rewards) == length + 1
        assert rewards.sum() == rewards[-1] == 1
        assert discounts[-1] == 0
        # Shown twice (gymnax observes before it counts), then never again.
        assert abs(observations[0, 2]) == abs(observations[1, 2]) == 1
        assert (observations[2:, 2] == 0).all()


def test_the_wrong_action_at_the_end_of_memory_chain_has_reward_minus_1(play):
    def confuse(time, observation, memory):
        memory = jnp.where(time == 0, (observation[2] < 0).astype(jnp.int32), memory)
        return memory, memory

    assert play(make("MemoryChain"), confuse, 10)[1].sum() == -1


@pytest.mark.parametrize("size", [4, 8])
def test_the_treasure_of_the_deep_sea(play, size):
    environment, _ = gymnax.make("DeepSea-bsuite", size=size)
    right = jnp.diag(environment.action_mapping)
    observations, rewards, discounts, _ = play(
        make(f"DeepSea-{size}"), lambda t, o, m: (right[jnp.minimum(t, size - 1)], m), size + 2
    )
    assert observations.shape == (size + 1, size * size)
    np.testing.assert_array_equal(observations[:-1].argmax(1), np.arange(size) * (size + 1))
    np.testing.assert_allclose(rewards.sum(), 0.99, rtol=1e-6)
    assert discounts[-1] == 0
    away = play(
        make(f"DeepSea-{size}"), lambda t, o, m: (1 - right[jnp.minimum(t, size - 1)], m), size + 2
    )
    assert away[1].sum() < 0.01


def test_the_horizon_of_discounting_chain_is_an_end(play):
    _, rewards, discounts, _ = play(make("DiscountingChain"), always(0), 120)
    assert len(rewards) == 100
    assert discounts[-1] == 0
    np.testing.assert_allclose(rewards.sum(), 1.1, rtol=1e-6)


def test_all_fields_are_static():
    """A jitted function of an environment compiles its constants in, and equal ones share it."""
    env = Gymnax("CartPole-v1")
    assert jax.tree.leaves(env) == []
    assert hash(jax.tree.structure(env)) == hash(jax.tree.structure(Gymnax("CartPole-v1")))
    assert jax.tree.structure(env) != jax.tree.structure(
        Gymnax("CartPole-v1", params={"gravity": 1.0})
    )


def test_parameters_and_options_are_passed_on():
    key = jax.random.key(0)
    state, _ = Gymnax("CartPole-v1").reset(key)
    heavy, light = (
        Gymnax("CartPole-v1", params={"force_mag": force}).step(key, state, jnp.asarray(1))[1]
        for force in (10.0, 1.0)
    )
    assert heavy.observation[1] > light.observation[1] + 0.1
    assert Gymnax("Catch-bsuite", options={"rows": 7}).observation_space == Box.of(0, 1, (7, 5))


def test_an_environment_first_made_inside_a_trace_leaks_no_tracer():
    build = lambda key: Gymnax("Acrobot-v1", params={"dt": 0.125}).reset(key)[1]  # noqa: E731
    first = jax.jit(build)(jax.random.key(0))
    np.testing.assert_allclose(jax.jit(build)(jax.random.key(0)), first)
    env = Gymnax("Acrobot-v1", params={"dt": 0.125})
    state, _ = env.reset(jax.random.key(0))
    assert np.isfinite(env.step(jax.random.key(0), state, jnp.asarray(0))[1].observation).all()


def test_errors_are_one_line():
    with pytest.raises(UnknownNameError, match="did you mean CartPole-v1") as error:
        Gymnax("CartPol-v1")
    assert "\n" not in str(error.value)
    with pytest.raises(RtrrlError, match=r"gymnax environment 'CartPole-v1'.*gravy"):
        Gymnax("CartPole-v1", params={"gravy": 1.0})
    with pytest.raises(RtrrlError, match=r"gymnax environment 'CartPole-v1'.*rows"):
        Gymnax("CartPole-v1", options={"rows": 1})
    with pytest.raises(RtrrlError, match="Flattened first"):
        Masked(Gymnax("Catch-bsuite"), (0,))


def test_gymnax_is_imported_only_when_an_environment_is_made():
    code = (
        "import sys, rtrrl.environments as e; e.tasks(); e.make('TMaze-3')\n"
        "assert 'gymnax' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


LAZY = """
import sys
from rtrrl.environments import make

make("FourRooms")
heavy = ("seaborn", "pandas", "scipy.stats", "matplotlib.pyplot", "matplotlib.figure")
assert not [name for name in heavy if name in sys.modules]

import gymnax

room, params = gymnax.make("FourRooms-misc")
import jax

_, state = room.reset_env(jax.random.key(0), params)
figure, _ = room.render(state, params)
import matplotlib.figure
import matplotlib.pyplot as plt
import seaborn
from gymnax.environments.misc import pong, rooms

assert isinstance(figure, matplotlib.figure.Figure)
assert plt.gcf() is figure
assert rooms.plt.subplots is plt.subplots
assert pong.sns.color_palette is seaborn.color_palette
assert type(sys.modules["seaborn"]) is type(plt) is type(sys)
"""


@pytest.mark.parametrize("before", ["", "import matplotlib.pyplot, seaborn.utils\n"])
def test_gymnax_is_imported_without_what_it_draws_with_which_works_when_used(before):
    code = LAZY if not before else before + LAZY.replace("assert not [", "assert [")
    subprocess.run(
        [sys.executable, "-c", code], check=True, env={**os.environ, "MPLBACKEND": "Agg"}
    )


@pytest.mark.parametrize("name", ["MetaMaze", "DiscountingChain", "GaussianBandit"])
def test_an_environment_is_the_same_under_x64(play, name):
    """gymnax itself fails there: its selects mix dtypes."""
    policy = lambda time, observation, memory: (time.astype(jnp.int32) % 2, memory)  # noqa: E731
    narrow = play(make(name), policy, 200)
    with jax.enable_x64(True):
        wide = play(make(name), lambda *args: policy(*args), 200)
    for a, b in zip(narrow, wide, strict=True):
        assert a.dtype == b.dtype
        np.testing.assert_allclose(a, b, rtol=1e-6)
