"""The Gymnasium adapter: spaces, masks, ends, functions as sources, errors; NeuroGym."""

import dataclasses
import functools
import subprocess
import sys

import gymnasium
import numpy as np
import pytest
from gymnasium import spaces

from rtrrl.environments import Box, Discrete, Gymnasium, MultiDiscrete, make
from rtrrl.environments.gymnasium.actions import flat_actions
from rtrrl.environments.gymnasium.adapter import _describe
from rtrrl.environments.host import episode_seed
from rtrrl.errors import RtrrlError, UnknownNameError, UnsupportedSpaceError

BOX = spaces.Box(-1, 1, (2, 2), np.float32)
EVERYTHING = spaces.Dict(
    box=BOX,
    number=spaces.Discrete(3, start=5),
    bits=spaces.MultiBinary(2),
    pair=spaces.Tuple([spaces.MultiDiscrete([2, 3]), spaces.Discrete(2)]),
)


class Mirror(gymnasium.Env):
    """Observes a sample of its observation space; `taken` records the actions."""

    taken: list = []  # noqa: RUF012

    def __init__(self, observed, actions, ends=("terminated", 3)):
        self.observation_space, self.action_space = observed, actions
        self.kind, self.length = ends

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.observation_space.seed(seed)
        self.time = 0
        return self.observation_space.sample(), {}

    def step(self, action):
        assert self.action_space.contains(action), action
        Mirror.taken.append(action)
        self.time += 1
        if self.kind == "raises" and self.time == self.length:
            raise OSError("the arm is stuck\nand smoke comes out")
        over = self.time == self.length
        ends = (over and self.kind == "terminated", over and self.kind == "truncated")
        return self.observation_space.sample(), 1.5, *ends, {}


@pytest.fixture
def mirror():
    """A function that registers a mirror and returns its adapter."""
    made = []

    def build(observed=BOX, actions=spaces.Discrete(2), ends=("terminated", 3)):  # noqa: B008
        name = f"Mirror{len(made)}-v0"
        gymnasium.register(name, lambda: Mirror(observed, actions, ends), disable_env_checker=True)
        made.append(name)
        Mirror.taken = []
        return Gymnasium(name)

    yield build
    for name in made:
        del gymnasium.registry[name]
    _describe.cache_clear()


def run(environment, actions, seeds=(1, 2)):
    """Steps of `len(seeds)` copies, each with the same actions."""
    envs = environment.make_vector(len(seeds))
    first = envs.reset(list(seeds), np.ones(len(seeds), bool))
    steps = [envs.step(np.stack([action] * len(seeds))) for action in actions]
    envs.close()
    return first, steps


def test_an_observation_of_every_kind_becomes_one_vector(mirror):
    environment = mirror(observed=EVERYTHING)
    assert environment.observation_space.shape == (4 + 3 + 2 + (5 + 2),)
    first, steps = run(environment, [np.int32(0)])
    for observation in (first, steps[0].observation):
        assert (observation.shape, observation.dtype) == ((2, 16), np.float32)
    for row in first:
        assert (np.abs(row[:4]) <= 1).all()
        assert set(row[4:]) <= {0, 1}
        assert row[4:7].sum() == row[9:11].sum() == row[11:14].sum() == row[14:].sum() == 1


@pytest.mark.parametrize(
    ("space", "ours", "action", "taken"),
    [
        (spaces.Discrete(3, start=5), Discrete(3), np.int32(2), 7),
        (spaces.MultiDiscrete([2, 3]), MultiDiscrete((2, 3)), [1, 2], [1, 2]),
        (
            spaces.MultiDiscrete([[2, 3], [2, 2]]),
            MultiDiscrete((2, 3, 2, 2)),
            [1, 2, 0, 1],
            [[1, 2], [0, 1]],
        ),
        (spaces.MultiBinary(2), MultiDiscrete((2, 2)), [0, 1], [0, 1]),
        (BOX, Box.of(-1, 1, (4,)), [0.0, 0.25, 0.5, 1.0], [[0.0, 0.25], [0.5, 1.0]]),
        (
            spaces.Dict(a=spaces.Discrete(3), b=spaces.MultiBinary(2)),
            MultiDiscrete((3, 2, 2)),
            [2, 0, 1],
            {"a": 2, "b": [0, 1]},
        ),
        (
            spaces.Tuple([spaces.Box(0, 1, (1,)), spaces.Box(-2, 2, (2,))]),
            Box.of([0, -2, -2], [1, 2, 2], (3,)),
            [0.5, -1.0, 2.0],
            ([0.5], [-1.0, 2.0]),
        ),
    ],
)
def test_actions_are_converted_to_the_form_of_the_environment(mirror, space, ours, action, taken):
    environment = mirror(actions=space)
    assert environment.action_space == ours
    run(environment, [np.array(action)], seeds=(1,))
    (given,) = Mirror.taken
    for got, expected in zip(_leaves(given), _leaves(taken), strict=True):
        np.testing.assert_array_equal(got, expected)


def _leaves(action):
    if isinstance(action, dict):
        return list(action.values())
    return list(action) if isinstance(action, tuple) else [action]


@pytest.mark.parametrize("kind", ["terminated", "truncated"])
def test_termination_and_truncation_are_distinguished_and_nothing_is_reset_automatically(
    mirror, kind
):
    _, steps = run(mirror(ends=(kind, 3)), [np.int32(0)] * 3)
    assert [timestep.last.tolist() for timestep in steps] == [[False] * 2, [False] * 2, [True] * 2]
    assert steps[-1].discount.tolist() == [1.0 * (kind == "truncated")] * 2
    assert all(timestep.reward.tolist() == [1.5, 1.5] for timestep in steps)
    assert all(timestep.reward.dtype == timestep.discount.dtype == np.float32 for timestep in steps)


def test_one_copy_is_reset_and_the_others_continue(mirror):
    environment = mirror(ends=("truncated", 2))
    envs = environment.make_vector(2)
    envs.reset([1, 2], np.array([True, True]))
    envs.step(np.zeros(2, np.int32))
    assert envs.step(np.zeros(2, np.int32)).last.all()
    envs.reset([3, 0], np.array([True, False]))
    envs.reset([0, 4], np.array([False, True]))
    envs.step(np.zeros(2, np.int32))
    again = envs.reset([9, 0], np.array([True, False]))
    timestep = envs.step(np.zeros(2, np.int32))
    assert timestep.last.tolist() == [False, True]
    np.testing.assert_array_equal(again[0], run(environment, [], seeds=(9,))[0][0])
    envs.close()


PROCESSES = """
import importlib.util

import gymnasium
import numpy as np
from rtrrl.environments import Gymnasium, make

sources = [make("gymnasium/CartPole-v1-pos"), Gymnasium(lambda: gymnasium.make("CartPole-v1"))]
if importlib.util.find_spec("neurogym"):
    sources.append(make("neurogym/yang19.go-v0"))
for environment in sources:
    timesteps = []
    for processes in (False, True):
        envs = environment.make_vector(2, processes)
        first = envs.reset([3, 4], np.array([True, True]))
        timesteps.append((first, *envs.step(np.array([0, 1]))))
        envs.close()
    for one, other in zip(*timesteps, strict=True):
        np.testing.assert_array_equal(one, other)
"""


def test_processes_give_the_same_results_as_one_process(tmp_path):
    # in a separate program: functions with runtime type checks cannot be sent to a process
    (tmp_path / "program.py").write_text(PROCESSES)
    subprocess.run([sys.executable, tmp_path / "program.py"], check=True, timeout=120)


@pytest.mark.parametrize(
    ("name", "keep"),
    [
        ("gymnasium/CartPole-v1", None),
        ("gymnasium/CartPole-v1-pos", (0, 2)),
        ("gymnasium/CartPole-v1-vel", (1, 3)),
        ("gymnasium/CartPole-v1@3", (3,)),
        ("gymnasium/CartPole-v1@3,0:2", (3, 0, 1)),
    ],
)
def test_a_mask_keeps_the_entries_in_its_name(name, keep):
    environment, full = make(name), make("gymnasium/CartPole-v1")
    assert environment.name == name
    first, steps = run(environment, [np.int32(0), np.int32(1)])
    first_full, steps_full = run(full, [np.int32(0), np.int32(1)])
    kept = range(4) if keep is None else keep
    np.testing.assert_array_equal(first, first_full[:, kept])
    np.testing.assert_array_equal(steps[1].observation, steps_full[1].observation[:, kept])
    assert environment.observation_space.low == tuple(full.observation_space.low[i] for i in kept)


MUJOCO = {
    "HalfCheetah-v5": (8, 9),
    "Hopper-v5": (5, 6),
    "Reacher-v5": (8, 2),
    "Pusher-v5": (16, 7),
    "InvertedDoublePendulum-v5": (5, 3),
}


@pytest.mark.parametrize("id", MUJOCO)
def test_positions_do_not_depend_on_velocities(id):
    """A change of q̇ changes velocities and no position."""
    pytest.importorskip("mujoco")
    position, velocity = (make(f"gymnasium/{id}{part}") for part in ("-pos", "-vel"))
    assert (position.observation_space.size, velocity.observation_space.size) == MUJOCO[id]
    body = gymnasium.make(id).unwrapped
    body.reset(seed=1)
    q, v = body.data.qpos.copy(), body.data.qvel.copy()
    body.set_state(q, 0 * v)
    still = body._get_obs()
    body.set_state(q, 0 * v + 0.7)
    pushed = body._get_obs()
    np.testing.assert_array_equal(still[list(position.keep)], pushed[list(position.keep)])
    assert (still[list(velocity.keep)] != pushed[list(velocity.keep)]).mean() > 0.8


def test_positions_are_those_of_the_environment_with_its_arguments():
    pytest.importorskip("mujoco")
    environment = make(
        "gymnasium/HalfCheetah-v5-pos", exclude_current_positions_from_observation=False
    )
    assert environment.observation_space.size == 9


@pytest.mark.parametrize(
    ("name", "kind", "message"),
    [
        ("gymnasium/CartPol-v1", UnknownNameError, "did you mean CartPole-v1"),
        ("gymnasium/CartPole-v9", RtrrlError, "CartPole"),
        ("gymnasium/CartPole-v1@9", RtrrlError, "cannot keep 9 of .*entries 0 to 3"),
        ("gymnasium/CartPole-v1@x", RtrrlError, "expected entries after the @"),
        ("gymnasium/CartPole-v1@", RtrrlError, "expected entries after the @"),
        ("gymnasium/Blackjack-v1-pos", RtrrlError, "not known: keep them by index"),
    ],
)
def test_a_name_that_cannot_be_made_gives_one_line(name, kind, message):
    with pytest.raises(kind, match=message) as error:
        make(name)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    "unsupported",
    [
        {"observed": spaces.Graph(BOX, None)},
        {"observed": spaces.Sequence(spaces.Discrete(2))},
        {"observed": spaces.Tuple(())},
        {"observed": spaces.Dict(a=BOX, b=spaces.Dict({}))},
        {"actions": spaces.Text(4)},
    ],
)
def test_an_unsupported_space_is_refused_by_name(mirror, unsupported):
    with pytest.raises(UnsupportedSpaceError, match=r"Mirror0-v0.*expected Box") as error:
        mirror(**unsupported)
    assert "\n" not in str(error.value)


def test_an_environment_that_raises_is_named_with_its_message(mirror):
    environment = mirror(ends=("raises", 2))
    with pytest.raises(RtrrlError, match="'Mirror0-v0' raised OSError: the arm is stuck") as error:
        run(environment, [np.int32(0)] * 2)
    assert "\n" not in str(error.value)


class Corridor(gymnasium.Env):
    """Three steps; renders an image whose brightness is the time."""

    metadata = {"render_modes": ["rgb_array"]}  # noqa: RUF012
    observation_space = spaces.Box(0, 3, (1,))
    action_space = spaces.Discrete(2)

    def __init__(self, render_mode=None):
        self.render_mode = render_mode

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.time = self.np_random.random()
        return np.array([self.time], np.float32), {}

    def step(self, action):
        self.time += 1
        return np.array([self.time], np.float32), 0.0, self.time >= 3, False, {}

    def render(self):
        return np.full((4, 5, 3), int(self.time), np.uint8) if self.render_mode else None


def test_a_function_or_class_that_makes_an_environment_is_a_source():
    environment = Gymnasium(Corridor)
    assert (environment.name, str(environment.observation_space)) == ("Corridor", "Box(1)")
    assert environment.action_space == Discrete(2)
    (one, other), steps = run(environment, [np.int32(0)] * 3, seeds=(1, 2))
    assert one != other
    assert steps[-1].last.all()
    np.testing.assert_array_equal(run(environment, [], seeds=(2, 1))[0], [other, one])
    cart = Gymnasium(lambda: gymnasium.make("CartPole-v1"), keep=(0, 2))
    assert cart.name == "CartPole-v1"
    assert cart.observation_space == make("gymnasium/CartPole-v1-pos").observation_space
    assert Gymnasium(Corridor, title="mine").name == "mine"
    assert Gymnasium(lambda: gymnasium.wrappers.ClipReward(Corridor(), 0, 1)).name == "Corridor"


@pytest.mark.parametrize(
    ("source", "brightness"),
    [
        (Corridor, 1),
        (functools.partial(Corridor), 1),
        (lambda: Corridor(render_mode="rgb_array"), 1),
        (lambda **options: Corridor(**options), 1),
        (lambda: Corridor(), None),
    ],
)
def test_a_function_is_asked_for_images_if_it_takes_a_render_mode(source, brightness):
    envs = Gymnasium(source).make_vector(1, render=True)
    envs.reset([0], np.array([True]))
    envs.step(np.array([0]))
    if brightness is None:
        with pytest.raises(RtrrlError, match="'Corridor' renders no pixels"):
            envs.render()
    else:
        np.testing.assert_array_equal(envs.render(), np.full((4, 5, 3), brightness))
    envs.close()


@dataclasses.dataclass
class NotHashable:
    id: str

    def __call__(self):
        return gymnasium.make(self.id)


def test_what_a_function_raises_or_returns_instead_is_one_line():
    one = gymnasium.make("CartPole-v1")

    def broken():
        raise OSError("no robot\nat this port")

    for source, message in (
        (broken, "'broken' raised OSError: no robot$"),
        (lambda: make("TMaze-3"), r"returns Named\(.*: expected a function that makes a gymnasium"),
        (lambda: None, "returns None: expected a function that makes a gymnasium.Env"),
        (lambda size: size, "raised TypeError: .*missing 1 required positional argument"),
        (lambda: gymnasium.make("CartPol-v1"), "raised NameNotFound: .*CartPole"),
        (lambda: one, "'<lambda>' returns the same environment in each call: expected"),
        (lambda: gymnasium.wrappers.ClipReward(one, -1, 1), "returns the same environment in each"),
        (
            NotHashable("CartPole-v1"),
            "an instance of NotHashable cannot .* no hash: make it a data",
        ),
    ):
        with pytest.raises(RtrrlError, match=message) as error:
            Gymnasium(source)
        assert "\n" not in str(error.value)


def test_flat_actions_cover_the_space():
    space = spaces.Dict(a=spaces.Discrete(3), b=spaces.MultiDiscrete([2, 2]))
    flat, to_action = flat_actions(space, "X")
    assert flat == MultiDiscrete((3, 2, 2))
    actions = [to_action(np.array(each)) for each in np.ndindex(3, 2, 2)]
    assert len(set(map(str, actions))) == 12
    assert all(space.contains(action) for action in actions)


def test_seeds_of_episodes_differ():
    seeds = {episode_seed(run, number) for run in (-1, 0, 1) for number in range(100)}
    assert len(seeds) == 300
    assert all(0 <= seed < 2**31 for seed in seeds)


def test_a_trial_of_neurogym_is_an_episode():
    pytest.importorskip("neurogym")
    environment = make("neurogym/PerceptualDecisionMaking-v0")
    envs = environment.make_vector(1)
    mask = np.array([True])

    def trial(seed):
        """The observations, reward and discount of fixating for 21 steps of 0.1 s, then left."""
        observations = [envs.reset([seed], mask)]
        for time in range(1, 101):
            timestep = envs.step(np.array([1 if time > 20 else 0]))
            observations.append(timestep.observation)
            if timestep.last[0]:
                return (
                    np.concatenate(observations),
                    float(timestep.reward[0]),
                    float(timestep.discount[0]),
                )
        raise AssertionError("a trial without an end")

    trials = [trial(seed) for seed in range(20)]
    assert {len(observations) for observations, _, _ in trials} == {22}
    assert {reward for _, reward, _ in trials} == {0.0, 1.0}, "some choices are right"
    assert {discount for *_, discount in trials} == {0.0}
    np.testing.assert_array_equal(trial(7)[0], trials[7][0])
    envs.close()
