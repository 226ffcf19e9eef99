"""The Gymnasium adapter: spaces of every kind, masks, ends, errors; NeuroGym's trials."""

import subprocess
import sys

import gymnasium
import numpy as np
import pytest
from gymnasium import spaces

from rtrrl.environments import Box, Discrete, Gymnasium, MultiDiscrete, make
from rtrrl.environments.gymnasium.actions import flat_actions
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
    """Shows a sample of its observation space; tells in `taken` what it was given."""

    taken: list = []  # noqa: RUF012

    def __init__(self, seen, done, ends=("terminated", 3)):
        self.observation_space, self.action_space = seen, done
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
    """Registers a mirror and gives its adapter."""
    made = []

    def build(seen=BOX, done=spaces.Discrete(2), ends=("terminated", 3)):  # noqa: B008
        name = f"Mirror{len(made)}-v0"
        gymnasium.register(name, lambda: Mirror(seen, done, ends), disable_env_checker=True)
        made.append(name)
        Mirror.taken = []
        return Gymnasium(name)

    yield build
    for name in made:
        del gymnasium.registry[name]
    from rtrrl.environments import gymnasium as adapter

    adapter._spaces.cache_clear()


def lived(world, actions, seeds=(1, 2)):
    """Steps of `len(seeds)` copies, each with the same actions."""
    live = world.open(len(seeds))
    first = live.reset(list(seeds), np.ones(len(seeds), bool))
    steps = [live.step(np.stack([action] * len(seeds))) for action in actions]
    live.close()
    return first, steps


def test_an_observation_of_every_kind_becomes_one_vector(mirror):
    world = mirror(seen=EVERYTHING)
    assert world.observation_space.shape == (4 + 3 + 2 + (5 + 2),)
    first, steps = lived(world, [np.int32(0)])
    for seen in (first, steps[0].observation):
        assert (seen.shape, seen.dtype) == ((2, 16), np.float32)
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
def test_an_action_reaches_the_world_in_its_own_form(mirror, space, ours, action, taken):
    world = mirror(done=space)
    assert world.action_space == ours
    lived(world, [np.array(action)], seeds=(1,))
    (given,) = Mirror.taken
    for got, expected in zip(_leaves(given), _leaves(taken), strict=True):
        np.testing.assert_array_equal(got, expected)


def _leaves(action):
    if isinstance(action, dict):
        return list(action.values())
    return list(action) if isinstance(action, tuple) else [action]


@pytest.mark.parametrize("kind", ["terminated", "truncated"])
def test_ends_are_told_apart_and_nothing_is_reset_by_itself(mirror, kind):
    _, steps = lived(mirror(ends=(kind, 3)), [np.int32(0)] * 3)
    assert [answer.last.tolist() for answer in steps] == [[False] * 2, [False] * 2, [True] * 2]
    assert steps[-1].discount.tolist() == [1.0 * (kind == "truncated")] * 2
    assert all(answer.reward.tolist() == [1.5, 1.5] for answer in steps)
    assert all(answer.reward.dtype == answer.discount.dtype == np.float32 for answer in steps)


def test_one_world_is_reset_and_the_others_go_on(mirror):
    world = mirror(ends=("truncated", 2))
    live = world.open(2)
    live.reset([1, 2], np.array([True, True]))
    live.step(np.zeros(2, np.int32))
    assert live.step(np.zeros(2, np.int32)).last.all()
    live.reset([3, 0], np.array([True, False]))
    live.reset([0, 4], np.array([False, True]))
    live.step(np.zeros(2, np.int32))
    again = live.reset([9, 0], np.array([True, False]))
    answer = live.step(np.zeros(2, np.int32))
    assert answer.last.tolist() == [False, True]
    np.testing.assert_array_equal(again[0], lived(world, [], seeds=(9,))[0][0])
    live.close()


PROCESSES = """
import numpy as np
from rtrrl.environments import make

if __name__ == "__main__":
    answers = []
    for processes in (False, True):
        live = make("gymnasium/CartPole-v1-pos").open(2, processes)
        first = live.reset([3, 4], np.array([True, True]))
        answers.append((first, *live.step(np.array([0, 1]))))
        live.close()
    for one, other in zip(*answers, strict=True):
        np.testing.assert_array_equal(one, other)
"""


def test_processes_answer_as_one_process_does(tmp_path):
    # in a program of its own: functions that check their arguments cannot be sent to a process
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
def test_a_mask_shows_the_entries_that_its_name_says(name, keep):
    world, whole = make(name), make("gymnasium/CartPole-v1")
    assert world.name == name
    first, steps = lived(world, [np.int32(0), np.int32(1)])
    first_whole, steps_whole = lived(whole, [np.int32(0), np.int32(1)])
    kept = range(4) if keep is None else keep
    np.testing.assert_array_equal(first, first_whole[:, kept])
    np.testing.assert_array_equal(steps[1].observation, steps_whole[1].observation[:, kept])
    assert world.observation_space.low == tuple(whole.observation_space.low[i] for i in kept)


MUJOCO = {
    "HalfCheetah-v5": (8, 9),
    "Hopper-v5": (5, 6),
    "Reacher-v5": (8, 2),
    "Pusher-v5": (16, 7),
    "InvertedDoublePendulum-v5": (5, 3),
}


@pytest.mark.parametrize("id", MUJOCO)
def test_positions_stay_where_velocities_are_pushed(id):
    """A position does not change with q̇ alone, each velocity does; both are counted."""
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


@pytest.mark.parametrize(
    ("name", "error", "message"),
    [
        ("gymnasium/CartPol-v1", UnknownNameError, "did you mean CartPole-v1"),
        ("gymnasium/CartPole-v9", RtrrlError, "CartPole"),
        ("gymnasium/CartPole-v1@9", RtrrlError, "cannot keep 9 of .*entries 0 to 3"),
        ("gymnasium/CartPole-v1@x", RtrrlError, "expected entries after the @"),
        ("gymnasium/CartPole-v1@", RtrrlError, "expected entries after the @"),
        ("gymnasium/Blackjack-v1-pos", RtrrlError, "not known: keep them by index"),
    ],
)
def test_a_name_that_cannot_be_made_is_one_clear_line(name, error, message):
    with pytest.raises(error, match=message) as said:
        make(name)
    assert "\n" not in str(said.value)


@pytest.mark.parametrize(
    "spoilt",
    [
        {"seen": spaces.Graph(BOX, None)},
        {"seen": spaces.Sequence(spaces.Discrete(2))},
        {"done": spaces.Dict(a=spaces.Discrete(2), b=spaces.Box(0, 1, (1,)))},
        {"done": spaces.Text(4)},
    ],
)
def test_a_space_that_is_no_vector_is_refused_by_name(mirror, spoilt):
    with pytest.raises(UnsupportedSpaceError, match=r"Mirror0-v0.*expected Box") as said:
        mirror(**spoilt)
    assert "\n" not in str(said.value)


def test_a_world_that_raises_is_named_with_its_own_words(mirror):
    world = mirror(ends=("raises", 2))
    with pytest.raises(RtrrlError, match="'Mirror0-v0' raised OSError: the arm is stuck") as said:
        lived(world, [np.int32(0)] * 2)
    assert "\n" not in str(said.value)


def test_flat_actions_cover_the_whole_space():
    space = spaces.Dict(a=spaces.Discrete(3), b=spaces.MultiDiscrete([2, 2]))
    flat, back = flat_actions(space, "X")
    reached = {str(back(np.array([i, j, k]))) for i in range(3) for j in range(2) for k in range(2)}
    assert len(reached) == 12
    assert all(space.contains(back(flat.sample())) for _ in range(20))


def test_seeds_of_episodes_differ():
    seeds = {episode_seed(run, number) for run in (-1, 0, 1) for number in range(100)}
    assert len(seeds) == 300
    assert all(0 <= seed < 2**31 for seed in seeds)


def test_a_trial_of_neurogym_is_an_episode():
    pytest.importorskip("neurogym")
    world = make("neurogym/PerceptualDecisionMaking-v0")
    live = world.open(1)
    everyone = np.array([True])

    def trial(seed):
        """All that is seen; fixates for 2.1 s in steps of 0.1 s, then says left."""
        seen = [live.reset([seed], everyone)]
        for time in range(1, 101):
            answer = live.step(np.array([1 if time > 20 else 0]))
            seen.append(answer.observation)
            if answer.last[0]:
                return np.concatenate(seen), float(answer.reward[0]), float(answer.discount[0])
        raise AssertionError("a trial without an end")

    trials = [trial(seed) for seed in range(20)]
    assert {len(seen) for seen, _, _ in trials} == {22}
    assert {reward for _, reward, _ in trials} == {0.0, 1.0}, "some answers are right"
    assert {discount for *_, discount in trials} == {0.0}
    np.testing.assert_array_equal(trial(7)[0], trials[7][0])
    live.close()
