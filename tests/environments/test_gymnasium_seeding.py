"""The same seed and actions give the same episode, whatever the environment is made of."""

import gymnasium
import numpy as np
import pytest
from gymnasium import spaces

from rtrrl.environments import Discrete, Gymnasium, HostEnvironment, make, tasks
from rtrrl.errors import RtrrlError

ONE = np.array([True])


class Noisy(gymnasium.Env):
    """Observes one number from `draw`."""

    observation_space = spaces.Box(-np.inf, np.inf, (1,))
    action_space = spaces.Discrete(5)

    def __init__(self):
        self.observation_space = spaces.Box(-1, 1, (1,))
        self.action_space = spaces.Discrete(5)

    def draw(self):
        return self.np_random.random()

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        return np.array([self.draw()]), {}

    def step(self, action):
        return np.array([self.draw()]), float(self.draw()), False, False, {}


class OwnGenerator(Noisy):
    def __init__(self):
        super().__init__()
        self.random = np.random.default_rng()

    def draw(self):
        return self.random.random()


class OldGenerator(Noisy):
    def __init__(self):
        super().__init__()
        self.parts = {"noise": [np.random.RandomState()]}

    def draw(self):
        return self.parts["noise"][0].rand()


class FromSpaces(Noisy):
    def draw(self):
        return self.observation_space.sample()[0] + self.action_space.sample()


class IgnoresSeed(Noisy):
    def reset(self, *, seed=None, options=None):
        return np.array([self.draw()]), {}


class Inner(Noisy):
    """Its number is that of an environment inside of it, which it resets without a seed."""

    def __init__(self):
        super().__init__()
        self.inner = [gymnasium.wrappers.ClipReward(IgnoresSeed(), -1, 1)]

    def draw(self):
        return self.inner[0].reset()[0][0]


class Part:
    def __init__(self):
        self.random = np.random.Generator(np.random.MT19937())


class OwnPart(Noisy):
    def __init__(self):
        super().__init__()
        self.part = Part()

    def draw(self):
        return self.part.random.random()


class NoisyWrapper(gymnasium.ObservationWrapper):
    def __init__(self, env):
        super().__init__(env)
        self.noise = np.random.default_rng()

    def observation(self, observation):
        return observation + self.noise.normal(size=1)


def wrapped():
    return gymnasium.wrappers.ClipReward(NoisyWrapper(NoisyWrapper(Noisy())), -5, 5)


KINDS = [Noisy, OwnGenerator, OldGenerator, FromSpaces, IgnoresSeed, Inner, OwnPart, wrapped]


def play(environment, seeds, steps=6):
    """Episodes of one copy, cut after some steps, as one long array; the actions are the same."""
    envs, space, rows = environment.make_vector(1), environment.action_space, []
    for seed in seeds:
        rows.append(envs.reset([seed], ONE).ravel())
        for time in range(steps):
            discrete = isinstance(space, Discrete)
            action = time % space.n if discrete else np.full(space.shape, 0.1 * time)
            timestep = envs.step(np.array([action]))
            rows += [timestep.observation.ravel(), timestep.reward]
            if timestep.last[0]:
                break
    envs.close()
    return np.concatenate(rows)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_every_generator_is_seeded(kind):
    environment = Gymnasium(kind)
    once = play(environment, [7])
    np.testing.assert_array_equal(once, play(environment, [7]))
    np.testing.assert_array_equal(play(environment, [3, 7])[-len(once) :], once)
    assert (play(environment, [8]) != once).any()


class Parts(Noisy):
    """Observes one number of each of its parts, and of its own generator."""

    observation_space = spaces.Box(0, 1, (5,))

    def __init__(self):
        self.parts = [IgnoresSeed(), IgnoresSeed(), OwnPart().part, np.random.RandomState()]

    def reset(self, *, seed=None, options=None):
        gymnasium.Env.reset(self, seed=seed)
        one, other, part, old = self.parts
        numbers = [self.np_random, one.np_random, other.np_random, part.random]
        return np.array([each.random() for each in numbers] + [old.rand()]), {}


def test_generators_are_independent_and_the_environments_own_is_as_gymnasium_seeds_it():
    drawn = play(Gymnasium(Parts), [7], steps=0)
    assert len(set(drawn)) == 5
    assert drawn[0] == np.float32(np.random.default_rng(7).random())
    own = play(Gymnasium(IgnoresSeed), [7], steps=0)
    assert own[0] == drawn[0], "also where its reset ignores the seed"


LISTED = [info.example for info in tasks() if info.backend in ("gymnasium", "neurogym")]


@pytest.mark.parametrize("name", dict.fromkeys(LISTED))
def test_every_listed_task_repeats_with_its_seed(name):
    pytest.importorskip("mujoco" if name.startswith("gymnasium") else "neurogym")
    environment = make(name)
    assert isinstance(environment, HostEnvironment)
    np.testing.assert_array_equal(play(environment, [7, 8]), play(environment, [7, 8]))


def test_every_task_of_neurogym_repeats_with_its_seed():
    pytest.importorskip("neurogym")
    from neurogym.envs.registration import ALL_EXTENDED_ENVS

    made = 0
    for id in ALL_EXTENDED_ENVS:
        try:
            environment = make(f"neurogym/{id}")
        except RtrrlError:  # two of them do not work with this version of Gymnasium
            continue
        made += 1
        episodes = [play(environment, [7, 8, 7]) for _ in range(2)]
        np.testing.assert_array_equal(*episodes, err_msg=id)
    assert made >= 40


class Maze(gymnasium.Env):
    """Its walls are drawn when it is seeded; the start is drawn in each episode."""

    observation_space = spaces.Box(0, 1, (2,), np.float64)
    action_space = spaces.Discrete(2)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        if seed is not None:
            self.walls = self.np_random.random()
        self.start, self.time = self.np_random.random(), 0
        return np.array([self.walls, self.start]), {}

    def step(self, action):
        self.time += 1
        return np.array([self.walls, self.start]), 0.0, False, self.time == 3, {}


def walls_and_starts(environment, seeds):
    return play(environment, seeds, steps=0).reshape(-1, 2).T


def test_an_environment_that_is_seeded_once_keeps_its_task():
    walls, _ = walls_and_starts(Gymnasium(Maze), [3, 4, 5])
    assert len(set(walls)) == 3
    for seeds in ([3, 4, 5], [6, 7, 8]):
        walls, starts = walls_and_starts(Gymnasium(Maze, seed_once=7), seeds)
        assert len(set(walls)) == 1
        assert len(set(starts)) == 3
        assert walls[0] == walls_and_starts(Gymnasium(Maze), [7])[0][0]


def test_an_environment_that_is_seeded_once_cannot_be_replayed():
    assert Gymnasium(Maze).replayable
    assert not Gymnasium(Maze, seed_once=0).replayable
    for wrong in (True, -1, 2**31):
        with pytest.raises(RtrrlError, match=f"seed_once is {wrong}: expected the seed"):
            Gymnasium(Maze, seed_once=wrong)
