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
    """A linear rule that keeps the pole up and the cart near the middle for ever."""
    _, _, angle, spin = observation
    x, v = observation[:2]
    return (angle + 0.3 * spin + 0.02 * x + 0.05 * v > 0).astype(jnp.int32), memory


def adapter(env):
    """The adapter inside the wrappers, None if there is none."""
    while isinstance(env, Wrapper):
        env = env.env
    return env if isinstance(env, Gymnax) else None


DRAWS_IN_VAIN = ("DeepSea-bsuite", "Catch-bsuite", "Acrobot-v1")
CALLED_CERTAIN = {
    env.id: env
    for env in (adapter(make(info.example)) for info in tasks())
    if env is not None and not env.random
}


@pytest.mark.parametrize("id", sorted(set(CALLED_CERTAIN) - set(DRAWS_IN_VAIN)))
def test_worlds_called_certain_never_look_at_the_key(id):
    """What `random=False` promises of most worlds that the registry declares so."""
    world, params = gymnax.make(id)
    action = world.action_space(params).sample(jax.random.key(0))
    _, state = world.reset_env(jax.random.key(0), params)
    step = jax.make_jaxpr(lambda key: world.step_env(key, state, action, params))
    jaxpr = step(jax.random.key(0)).jaxpr
    (key,) = jaxpr.invars
    assert jaxpr.eqns
    assert not any(key is read for equation in jaxpr.eqns for read in equation.invars)


@pytest.mark.parametrize("id", DRAWS_IN_VAIN)
def test_drawing_nothing_changes_nothing(id):
    """What `random=False` promises of the rest, which draw and do not use it."""
    assert id in CALLED_CERTAIN
    world, params = gymnax.make(id)
    env = Gymnax(id, random=False)
    key = jax.random.key(5)
    observation, theirs = world.reset_env(key, params)
    ours, first = env.reset(key)
    np.testing.assert_array_equal(observation, first)
    step = jax.jit(lambda key, state, action: world.step_env(key, state, action, params))
    for t in range(5):
        action = jnp.asarray(t % 2)
        expected, theirs, reward, terminated, _ = step(jax.random.key(t), theirs, action)
        ours, got = jax.jit(env.step)(jax.random.key(t + 100), ours, action)
        np.testing.assert_allclose(got.observation, expected, rtol=1e-6)
        np.testing.assert_allclose(got.reward, reward, rtol=1e-6)
        assert got.last == terminated


def test_a_time_limit_is_a_truncation_with_the_real_final_observation(play):
    env = make("CartPole")
    seen, rewards, discounts, last = play(env, balance, 600)
    assert len(rewards) == 500
    assert rewards.sum() == 500
    assert discounts[-1] == 1
    assert last[-1]
    # The final observation follows from the one before by the equations of motion: no reset.
    x, v, angle, spin = seen[-2]
    np.testing.assert_allclose(seen[-1][[0, 2]], [x + 0.02 * v, angle + 0.02 * spin], atol=1e-6)

    again, _, discounts, _ = play(TruncationAsTermination(env), balance, 600)
    np.testing.assert_array_equal(again, seen)
    assert discounts[-1] == 0
    assert (discounts[:-1] == 1).all()


def test_a_fall_is_a_termination(play):
    seen, rewards, discounts, _ = play(make("CartPole"), always(1), 100)
    assert len(rewards) < 20
    assert discounts[-1] == 0
    assert abs(seen[-1][2]) > 12 * np.pi / 180 >= abs(seen[-2][2])


@pytest.mark.parametrize(
    ("name", "whole", "columns"),
    [
        ("CartPole-pos", "CartPole", [0, 2]),
        ("CartPole-vel", "CartPole", [1, 3]),
        ("MountainCarContinuous-pos", "MountainCarContinuous", [0]),
        ("MountainCarContinuous-vel", "MountainCarContinuous", [1]),
    ],
)
def test_a_mask_shows_exactly_its_columns(play, name, whole, columns):
    masked, full = make(name), make(whole)
    action = 1 if isinstance(full.action_space, Discrete) else jnp.ones(1)
    seen, *rest = play(full, always(action), 1000)
    part, *same = play(masked, always(action), 1000)
    np.testing.assert_array_equal(part, seen[:, columns])
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
        seen, rewards, discounts, _ = play(
            make(f"MemoryChain-{length}"), remember, length + 3, seed
        )
        assert len(rewards) == length + 1
        assert rewards.sum() == rewards[-1] == 1
        assert discounts[-1] == 0
        # Shown twice (gymnax observes before it counts), then never again.
        assert abs(seen[0, 2]) == abs(seen[1, 2]) == 1
        assert (seen[2:, 2] == 0).all()


def test_memory_chain_punishes_the_wrong_answer(play):
    def confuse(time, observation, memory):
        memory = jnp.where(time == 0, (observation[2] < 0).astype(jnp.int32), memory)
        return memory, memory

    assert play(make("MemoryChain"), confuse, 10)[1].sum() == -1


@pytest.mark.parametrize("size", [4, 8])
def test_the_treasure_of_the_deep_sea(play, size):
    world, _ = gymnax.make("DeepSea-bsuite", size=size)
    right = jnp.diag(world.action_mapping)
    seen, rewards, discounts, _ = play(
        make(f"DeepSea-{size}"), lambda t, o, m: (right[jnp.minimum(t, size - 1)], m), size + 2
    )
    assert seen.shape == (size + 1, size * size)
    np.testing.assert_array_equal(seen[:-1].argmax(1), np.arange(size) * (size + 1))
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


def test_everything_is_static():
    """So a jitted function of a world compiles its constants in, and equal worlds share it."""
    env = Gymnax("CartPole-v1")
    assert jax.tree.leaves(env) == []
    assert hash(jax.tree.structure(env)) == hash(jax.tree.structure(Gymnax("CartPole-v1")))
    assert jax.tree.structure(env) != jax.tree.structure(
        Gymnax("CartPole-v1", params={"gravity": 1.0})
    )


def test_parameters_and_options_arrive():
    key = jax.random.key(0)
    state, _ = Gymnax("CartPole-v1").reset(key)
    heavy, light = (
        Gymnax("CartPole-v1", params={"force_mag": force}).step(key, state, jnp.asarray(1))[1]
        for force in (10.0, 1.0)
    )
    assert heavy.observation[1] > light.observation[1] + 0.1
    assert Gymnax("Catch-bsuite", options={"rows": 7}).observation_space == Box.of(0, 1, (7, 5))


def test_a_world_first_built_inside_a_trace_leaks_nothing():
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
    with pytest.raises(RtrrlError, match=r"gymnax world 'CartPole-v1'.*gravy"):
        Gymnax("CartPole-v1", params={"gravy": 1.0})
    with pytest.raises(RtrrlError, match=r"gymnax world 'CartPole-v1'.*rows"):
        Gymnax("CartPole-v1", options={"rows": 1})
    with pytest.raises(RtrrlError, match="Flattened first"):
        Masked(Gymnax("Catch-bsuite"), (0,))


def test_gymnax_is_imported_only_when_a_world_is_built():
    code = (
        "import sys, rtrrl.environments as e; e.tasks(); e.make('TMaze-3')\n"
        "assert 'gymnax' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize("name", ["MetaMaze", "DiscountingChain", "GaussianBandit"])
def test_a_world_is_the_same_under_x64(play, name):
    """gymnax itself fails there: its selects mix dtypes."""
    policy = lambda time, observation, memory: (time.astype(jnp.int32) % 2, memory)  # noqa: E731
    narrow = play(make(name), policy, 200)
    with jax.enable_x64(True):
        wide = play(make(name), lambda *args: policy(*args), 200)
    for a, b in zip(narrow, wide, strict=True):
        assert a.dtype == b.dtype
        np.testing.assert_allclose(a, b, rtol=1e-6)
