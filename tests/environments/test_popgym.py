"""Every environment against the package popgym, which is made to draw the same numbers."""

import functools
import operator
import re
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rtrrl.environments import Discrete, MultiDiscrete, make, popgym, tasks
from rtrrl.environments.popgym.stateless_cartpole import CartPoleState
from tests.members import quick_jit

gymnasium = pytest.importorskip("gymnasium")
theirs = pytest.importorskip("popgym.envs")

INFOS = {info.name: info for info in tasks() if info.backend == "popgym"}
NAMES = [name for name in INFOS if name.endswith(("Easy", "Medium", "Hard"))]
CARTS = [name for name in NAMES if "CartPole" in name]
# Other names in the package.
RENAMED = (
    ("Stateless", "PositionOnly"),
    ("Minesweeper", "MineSweeper"),
    ("MultiArmed", "Multiarmed"),
)
EPISODES, LONGEST, STEPS = 200, 831, 1000
RESETS = jax.random.split(jax.random.key(0), EPISODES)
KEYS = jax.random.split(jax.random.key(1), (EPISODES, LONGEST))
each_environment = pytest.mark.parametrize("name", NAMES)
each_cart = pytest.mark.parametrize("name", CARTS)


def oracle(name: str) -> Any:
    for ours, other in RENAMED:
        name = name.replace(ours, other)
    return getattr(theirs, name)()


class Dictated:
    """Replaces the generator of the oracle: returns one after the other the numbers JAX drew."""

    def __init__(self, **draws):
        self.draws = {name: iter(values) for name, values in draws.items()}

    def shuffle(self, cards):
        cards[:] = next(self.draws["shuffle"])

    def __getattr__(self, name):
        return lambda *_, **__: next(self.draws[name])


def places(cards, kinds):
    """An order of `cards` in which their kinds are `kinds`."""
    order = np.empty(len(cards), int)
    order[np.argsort(kinds, kind="stable")] = np.argsort(cards, kind="stable")
    return order


def dictated(environment, env, state, reset_key, step_keys) -> Dictated:
    """The draws that put the oracle `env` into `state`, and those of the keys."""
    match environment:
        case popgym.RepeatFirst() | popgym.RepeatPrevious() | popgym.Autoencode():
            # popgym deals from the end of a pack
            return Dictated(shuffle=[places(env.deck.suits_idx, state.deck)[::-1]])
        case popgym.HigherLower():
            return Dictated(shuffle=[places(env.deck.ranks_idx, state.deck)[::-1]])
        case popgym.CountRecall():
            packs = state.values, state.queries
            return Dictated(shuffle=[places(env.deck_idx_type, pack)[::-1] for pack in packs])
        case popgym.Concentration():
            return Dictated(shuffle=[places(env.deck_idx_type, state.table)])
        case popgym.Minesweeper():
            return Dictated(choice=[np.flatnonzero(state.mined)])
        case popgym.MultiArmedBandit():
            return Dictated(random=[state.probabilities, *_uniform(step_keys)])
        case popgym.StatelessCartPole():
            return Dictated(uniform=[np.float64(state.physics)])
        case _:
            start, _ = _noise(reset_key[None])
            noise = env.noise_sigma * np.concatenate([start, _noise(step_keys)[1]])
            return Dictated(uniform=[np.float64(state.physics)], normal=noise)


_uniform = jax.jit(jax.vmap(jax.random.uniform))


@jax.jit
@jax.vmap
def _noise(key):
    """Standard normal numbers as a noisy reset and as a noisy step draw them."""
    return jax.random.normal(jax.random.split(key)[1], (2,)), jax.random.normal(key, (2,))


def perfect(environment, env):
    """The best action in the state of the oracle, all of which is used."""
    match environment:
        case popgym.RepeatFirst():
            return env.card
        case popgym.RepeatPrevious():
            hand = env.deck["player"]
            return env.deck.suits_idx[hand[-env.k]] if len(hand) >= env.k else 0
        case popgym.Autoencode():
            return env.deck.suits_idx[env.deck["system"][-1]]
        case popgym.HigherLower():
            card, following = env.deck["player"][-1], env.deck.idx[len(env.deck) - 1]
            return int(env.deck.ranks_idx[following] < env.deck.ranks_idx[card])
        case popgym.CountRecall():
            return env.counts[env.query]
        case popgym.Concentration():
            hidden = [i for i in range(len(env.state)) if i not in env.deck["face_up_idx"]]
            if not (first := env.deck["in_play_idx"]):
                return hidden[0]
            return next(i for i in hidden if i != first[0] and env.state[i] == env.state[first[0]])
        case popgym.Minesweeper():
            return np.argwhere(env.hidden_grid == 0)[0]
        case popgym.MultiArmedBandit():
            return env.bandits.argmax()
        case _:  # a linear rule that keeps the pole up and the cart near the middle
            x, v, angle, spin = env.state
            return int(angle + 0.3 * spin + 0.02 * x + 0.05 * v > 0)


def careful(environment, env):
    """Random, but not on a mine: a board that is not cleared in time is truncated."""
    while True:
        action = env.action_space.sample()
        if not (
            isinstance(environment, popgym.Minesweeper) and env.hidden_grid[tuple(action)] == 1
        ):
            return action


def random(environment, env):
    return env.action_space.sample()


class Episode(NamedTuple):
    first: np.ndarray
    actions: list
    steps: list
    """Observation, reward, terminated and truncated of every step."""
    states: list
    """The `state` of the oracle, if it has one, at the start and after every step."""


def play(env, act) -> Episode:
    """One episode of the oracle; its observations flattened the way Gymnasium does it."""
    flat = functools.partial(gymnasium.spaces.flatten, env.observation_space)
    state = lambda: np.array(getattr(env, "state", 0))  # noqa: E731
    episode = Episode(flat(env.reset()[0]), [], [], [state()])
    terminated = truncated = False
    while not (terminated or truncated):
        episode.actions.append(act())
        observation, reward, terminated, truncated, _ = env.step(episode.actions[-1])
        episode.steps.append((flat(observation), reward, terminated, truncated))
        episode.states.append(state())
    return episode


def assert_equal_steps(got, steps, **tolerance):
    """The time steps of JAX are those of the oracle."""
    observations, rewards, terminated, truncated = map(np.array, zip(*steps, strict=True))
    np.testing.assert_allclose(got.observation, observations, **tolerance)
    np.testing.assert_allclose(got.reward, rewards, rtol=1e-6, atol=1e-7)
    np.testing.assert_array_equal(got.discount, 1.0 - terminated)
    np.testing.assert_array_equal(got.last, terminated | truncated)


@each_environment
def test_a_thousand_steps_are_those_of_the_oracle(name):
    """JAX resets, the oracle runs from the same draws, and JAX repeats its actions."""
    env, environment = oracle(name), make(name).env  # type: ignore[attr-defined]
    env.action_space.seed(0)
    states, firsts = jax.tree.map(np.asarray, quick_jit(jax.vmap(environment.reset))(RESETS))
    episodes = []
    while sum(len(episode.steps) for episode in episodes) < STEPS or len(episodes) < 3:
        i = len(episodes)
        state = jax.tree.map(operator.itemgetter(i), states)
        env.np_random = dictated(environment, env, state, RESETS[i], KEYS[i])
        # long episodes of a balanced pole are compared by another test
        policy = (random if name in CARTS else perfect, careful)[i] if i < 2 else random
        episodes.append(play(env, functools.partial(policy, environment, env)))

    @quick_jit
    @jax.vmap
    def follow(state, keys, actions):
        step = lambda state, given: environment.step(given[0], state, given[1])  # noqa: E731
        return jax.lax.scan(step, state, (keys, actions))[1]

    count, lengths = len(episodes), [len(episode.actions) for episode in episodes]
    actions = np.zeros((count, max(lengths), *np.shape(episodes[0].actions[0])), np.int32)
    for i, episode in enumerate(episodes):
        actions[i, : lengths[i]] = episode.actions
    started = jax.tree.map(lambda leaf: leaf[:count], states)
    got = jax.tree.map(np.asarray, follow(started, KEYS[:count, : max(lengths)], actions))
    for i, episode in enumerate(episodes):
        np.testing.assert_allclose(firsts[i], episode.first, atol=1e-6)
        steps = jax.tree.map(lambda leaf, i=i: leaf[i, : lengths[i]], got)
        assert_equal_steps(steps, episode.steps, atol=1e-5 if name in CARTS else 0)
    if name not in CARTS:
        assert re.search(rf"\b{max(lengths)} steps", INFOS[name].ends)
        if (optimal := INFOS[name].optimal) is not None:
            np.testing.assert_allclose(got.reward[0, : lengths[0]].sum(), optimal, atol=1e-4)


@each_cart
def test_a_balanced_pole_step_by_step(name):
    """Each step from the oracle's own state: rounding grows too fast to compare long episodes."""
    env, environment = oracle(name), make(name).env  # type: ignore[attr-defined]
    env.np_random = np.random.default_rng(0)
    if name.startswith("Noisy"):
        env.add_noise_to_obs = lambda observation: observation
        environment = popgym.StatelessCartPole(environment.steps)
    episode = play(env, functools.partial(perfect, environment, env))
    length = len(episode.steps)
    assert f"truncated at {length} steps" in INFOS[name].ends
    physics = np.array(episode.states, np.float32)
    states = jax.vmap(CartPoleState)(jnp.asarray(physics[:-1]), jnp.arange(length))
    step = quick_jit(jax.vmap(environment.step))
    after, got = step(KEYS[0, :length], states, jnp.array(episode.actions))
    np.testing.assert_allclose(after.physics, physics[1:], atol=2e-6)
    assert_equal_steps(got, episode.steps, atol=1e-6)
    assert not got.last[:-1].any()
    np.testing.assert_allclose(got.reward.sum(), 1.0, atol=1e-5)


@each_environment
def test_spaces_are_the_oracles(name):
    env, environment = oracle(name), make(name)
    flat = gymnasium.spaces.flatten_space(env.observation_space)
    space: Any = environment.observation_space
    assert space.shape == flat.shape
    np.testing.assert_array_equal(np.float32(space.low), flat.low)
    np.testing.assert_array_equal(np.float32(space.high), flat.high)
    if isinstance(env.action_space, gymnasium.spaces.Discrete):
        assert environment.action_space == Discrete(int(env.action_space.n))
    else:
        assert environment.action_space == MultiDiscrete(tuple(env.action_space.nvec.tolist()))


@pytest.mark.parametrize("name", [name for name in INFOS if name not in NAMES])
def test_a_plain_name_is_the_easy_level(name):
    plain, easy = make(name), make(f"{name}Easy")
    assert plain.name == name
    assert plain.env == easy.env  # type: ignore[attr-defined]
    assert INFOS[name].example == f"{name}Easy"
