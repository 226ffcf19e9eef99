"""Brax compiles for seconds: what holds for all environments is mostly checked on types only."""

import functools
import importlib.util
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rtrrl.environments import Masked, TimeLimit
from rtrrl.environments.brax.adapter import BACKENDS, LAYOUTS, Brax, brax_environment
from rtrrl.environments.brax.tasks import FAMILIES, TASKS, make_brax
from rtrrl.environments.spaces import Box
from rtrrl.errors import RtrrlError, UnknownNameError
from tests.members import quick_jit

needs_brax = pytest.mark.skipif(
    importlib.util.find_spec("brax") is None, reason="brax is not installed"
)
PENDULUM = Brax("inverted_pendulum")
# Entries of the observation among the positions that never change: heights and masses.
CONSTANT = {"reacher": [10], "pusher": [19, 22], "humanoid": [*range(54, 155, 10)]}
ROWS = {row.info.name: row for row in TASKS}


@functools.cache
def pendulum():
    """First states and observations, those of one key twice, and the compiled step of the task."""
    env = make_brax("brax/inverted_pendulum")
    keys = jax.random.split(jax.random.key(0), 8)
    starts = quick_jit(jax.vmap(env.reset))(jnp.concatenate([keys, keys[:1]]))
    return jax.tree.map(np.asarray, starts), quick_jit(env.step)


def play_pendulum(policy):
    """The observations, rewards and discounts of one episode."""
    starts, step = pendulum()
    state, first = jax.tree.map(lambda leaf: leaf[0], starts)
    observations, timesteps = [first], []
    while not timesteps or not timesteps[-1].last:
        action = np.full(1, policy(observations[-1]), np.float32)
        state, timestep = step(jax.random.key(0), state, action)
        timesteps.append(jax.device_get(timestep))
        observations.append(timesteps[-1].observation)
        assert len(timesteps) <= 1000
    return np.stack(observations), *(
        np.array([getattr(t, of) for t in timesteps]) for of in ("reward", "discount")
    )


def types(tree):
    return jax.tree.map(lambda leaf: (leaf.shape, leaf.dtype, leaf.weak_type), tree)


def traced(env):
    """The types of a first state and observation, and of the step after."""
    key = jax.eval_shape(lambda: jax.random.key(0))
    state, first = jax.eval_shape(env.reset, key)
    action = jax.ShapeDtypeStruct(env.action_space.shape, jnp.float32)
    return state, first, *jax.eval_shape(env.step, key, state, action)


@needs_brax
@pytest.mark.parametrize(
    ("id", "backend"),
    [(id, "spring") for id in LAYOUTS]
    + [(id, backend) for id in ("inverted_pendulum", "halfcheetah") for backend in BACKENDS[1:]],
)
def test_the_layouts_are_correct_and_a_loop_can_carry_the_state(id, backend):
    env = Brax(id, backend)
    state, first, after, timestep = traced(env)
    assert jax.tree.leaves(state)
    assert jax.tree.structure(after) == jax.tree.structure(state)
    assert types(after) == types(state)
    observed = env.observation_space.shape, jnp.float32, False
    assert types(first) == observed
    assert types(timestep.observation) == observed
    assert types(timestep.reward) == types(timestep.discount) == ((), jnp.float32, False)
    assert types(timestep.last) == ((), jnp.bool, False)
    assert brax_environment(id, backend).action_size == env.action_space.size


@needs_brax
@pytest.mark.parametrize("id", LAYOUTS)
def test_positions_do_not_depend_on_velocities_which_are_0_at_rest(id):
    from brax import base, kinematics

    environment, layout = brax_environment(id, "spring"), LAYOUTS[id]
    torque = [jnp.zeros(environment.action_size)] if id == "humanoid" else []

    def observe(q, qd):
        return environment._get_obs(
            base.State(q, qd, *kinematics.forward(environment.sys, q, qd), None), *torque
        )

    keys = jax.random.split(jax.random.key(0), 4)
    q, q_other = (
        environment.sys.init_q + 0.3 * jax.random.uniform(k, (environment.sys.q_size(),))
        for k in keys[:2]
    )
    qd, qd_other = (jax.random.normal(k, (environment.sys.qd_size(),)) for k in keys[2:])
    once, faster, elsewhere, resting = np.asarray(
        quick_jit(jax.vmap(observe))(
            jnp.stack([q, q, q_other, q]), jnp.stack([qd, qd_other, qd, 0 * qd])
        )
    )
    positions, velocities = list(layout.positions), list(layout.velocities)
    np.testing.assert_array_equal(faster[positions], once[positions])
    changing = np.setdiff1d(positions, CONSTANT.get(id, []))
    assert (elsewhere[changing] != once[changing]).all()
    assert (faster[velocities] != once[velocities]).all()
    assert (resting[velocities] == 0).all()
    torques = range(221, 244) if id == "humanoid" else ()
    assert sorted([*positions, *velocities, *torques]) == [*range(layout.observed)]


@pytest.mark.parametrize("id", LAYOUTS)
def test_a_view_keeps_its_entries(id):
    layout = LAYOUTS[id]
    for suffix, keep in (("-pos", layout.positions), ("-vel", layout.velocities)):
        env = make_brax(f"brax-mjx/{id}{suffix}")
        assert isinstance(env.env, Masked)
        assert env.env.keep == tuple(keep)
        assert env.env.env == Brax(id, "mjx")
        assert ROWS[f"brax/{id}{suffix}"].info.hidden != "nothing"


def test_rows_have_the_backend_of_the_paper_and_end_after_1000_steps():
    assert len(ROWS) == len(TASKS) == 3 * len(LAYOUTS)
    for name, row in ROWS.items():
        env = row.build()
        assert isinstance(env, TimeLimit)
        id = name.removeprefix("brax/").split("-")[0]
        assert env.steps == 1000
        assert Brax(id, "spring").name in env.name
        assert "truncated at 1000 steps" in row.info.ends
        assert isinstance(env.action_space, Box)
        assert isinstance(env.observation_space, Box)
        assert env.action_space == Box.of(-1, 1, (LAYOUTS[id].actions,))


def test_every_backend_is_a_family():
    assert len(FAMILIES) == len(BACKENDS)
    for family, backend in zip(FAMILIES, BACKENDS, strict=True):
        assert family.info.name == f"brax-{backend}/ID"
        env = family.build(family.info.example)
        assert env.name == f"TimeLimit(Masked({Brax('halfcheetah', backend).name}))"


@needs_brax
def test_a_balanced_pole_is_truncated_without_a_reset():
    gains = np.array([0.03, 2.6, 0.006, 0.06], np.float32)
    observations, rewards, discounts = play_pendulum(lambda o: np.clip(gains @ o, -1, 1))
    assert len(rewards) == rewards.sum() == 1000
    assert (discounts == 1).all()
    assert np.abs(observations[:, 1]).max() <= 0.2
    # No episode begins in the state in which this one is truncated.
    assert np.abs(observations[-1]).max() > 0.01 >= np.abs(observations[0]).max()


@needs_brax
def test_a_fallen_pole_is_a_termination():
    observations, rewards, discounts = play_pendulum(lambda _: 1)
    assert len(rewards) < 50
    assert discounts[-1] == 0
    assert (discounts[:-1] == 1).all()
    assert abs(observations[-1][1]) > 0.2 >= abs(observations[-2][1])


@needs_brax
def test_episodes_begin_in_different_states():
    (state, first), _ = pendulum()
    assert len(np.unique(first[:-1], axis=0)) == 8
    np.testing.assert_array_equal(first[0], first[-1])
    np.testing.assert_array_equal(first, np.concatenate([state.inner.q, state.inner.qd], axis=1))


@needs_brax
@pytest.mark.parametrize(("action", "finite"), [(0.0, True), (np.nan, False)])
def test_numbers_that_are_not_finite_are_passed_on(action, finite):
    starts, step = pendulum()
    state, _ = jax.tree.map(lambda leaf: leaf[1], starts)
    _, timestep = step(jax.random.key(0), state, np.full(1, action, np.float32))
    assert np.isfinite(timestep.observation).all() == finite


@needs_brax
def test_types_are_the_same_under_x64():
    """The environment is also made there, and stepped with an action of float64."""
    narrow = types(traced(PENDULUM))
    brax_environment.cache_clear()
    with jax.enable_x64(True):
        constants = jax.tree.leaves(brax_environment(PENDULUM.id, PENDULUM.backend).sys)
        assert all(leaf.itemsize <= 4 for leaf in constants if isinstance(leaf, jax.Array))
        assert types(traced(PENDULUM)) == narrow
        state, _ = jax.eval_shape(PENDULUM.reset, jax.random.key(0))
        action = jax.ShapeDtypeStruct((1,), jnp.float64)
        wide = jax.eval_shape(PENDULUM.step, jax.random.key(0), state, action)
    assert types(wide) == narrow[2:]
    brax_environment.cache_clear()


@needs_brax
def test_an_environment_first_made_inside_a_trace_leaks_no_tracer():
    brax_environment.cache_clear()
    for _ in range(2):  # what leaked from the first trace would fail in the second
        traced(PENDULUM)
    for constant in jax.tree.leaves(brax_environment(PENDULUM.id, PENDULUM.backend).sys):
        np.asarray(constant)  # no tracer is an array


def test_all_fields_are_static():
    """A jitted function of an environment compiles its constants in, and equal ones share it."""
    assert jax.tree.leaves(PENDULUM) == []
    same, other = Brax("inverted_pendulum"), Brax("inverted_pendulum", "mjx")
    assert hash(jax.tree.structure(PENDULUM)) == hash(jax.tree.structure(same))
    assert jax.tree.structure(PENDULUM) != jax.tree.structure(other)


def test_tasks_are_listed_without_brax(monkeypatch):
    monkeypatch.setitem(sys.modules, "brax", None)
    brax_environment.cache_clear()
    for row in TASKS:
        assert row.build().observation_space
    with pytest.raises(RtrrlError, match=r"brax is not installed.*pip install 'rtrrl\[brax\]'$"):
        make_brax("brax/ant").reset(jax.random.key(0))


@needs_brax
def test_brax_is_imported_only_when_an_environment_is_reset_and_nothing_is_printed(tmp_path):
    code = (
        "import sys, jax\n"
        "from rtrrl.environments.brax.tasks import TASKS\n"
        "environment = [row.build() for row in TASKS][0]\n"
        "environment.observation_space, environment.action_space\n"
        "assert 'brax' not in sys.modules\n"
        "jax.eval_shape(environment.reset, jax.random.key(0))\n"
        "assert 'brax' in sys.modules"
    )
    ran = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert ran.stdout == ran.stderr == ""
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("brax/halfcheeta", "unknown task 'brax/halfcheeta': did you mean brax/halfcheetah"),
        ("brax/ant-velocity", "unknown task 'brax/ant-velocity': did you mean brax/ant-vel"),
        ("brax-mjx/hoper", "did you mean brax-mjx/hopper"),
        ("brax", "unknown task 'brax'"),
        ("brax/", "unknown task 'brax/'"),
        ("brax/swimmer", "unknown task 'brax/swimmer'"),
        ("brax-sprin/ant", "unknown family of tasks 'brax-sprin': did you mean brax-spring"),
    ],
)
def test_errors_are_one_line(name, expected):
    with pytest.raises(UnknownNameError, match=expected) as error:
        make_brax(name)
    assert "\n" not in str(error.value)


def test_unknown_environments_and_backends():
    with pytest.raises(UnknownNameError, match="unknown Brax environment 'Ant': did you mean ant"):
        Brax("Ant")
    with pytest.raises(UnknownNameError, match="unknown Brax backend 'mujoco'"):
        Brax("ant", "mujoco")
