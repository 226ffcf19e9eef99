"""One episode of a frozen agent, with all that a film of it shows."""

import contextlib
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from rtrrl.agents import Agent
from rtrrl.environments import Environment, HostEnvironment
from rtrrl.environments.host import episode_seed
from rtrrl.errors import RtrrlError
from rtrrl.types import Key, PyTree
from rtrrl.viz.scenes import Bars, Episode, Picture, Pixels, innermost


def record(
    agent: Agent,
    state: Any,
    environment: Environment,
    picture: Picture,
    key: Key,
    steps: int,
    greedy: bool = False,
) -> Episode:
    """The agent as it is now plays one episode, of which at most `steps` steps are kept.

    Of the world's states only what `picture` looks at is. It is the first episode that
    `evaluation.play_episode` plays with this key.
    """
    moments, over = _played(agent, state, environment, picture, key, steps, greedy)
    (first, stacked), over = jax.tree.map(np.asarray, (moments, over))
    # the step that ends the episode is kept, nothing after it
    count = int(over.argmax()) + 1 if over.any() else steps
    sights, observations, *rest = jax.tree.map(lambda leaf: leaf[:count], stacked)
    joined = jax.tree.map(
        lambda one, more: np.concatenate([one[None], more]), first, (sights, observations)
    )
    return Episode(*joined, *rest, ended=bool(over.any()))


@eqx.filter_jit
def _played(
    agent: Agent,
    state: Any,
    environment: Environment,
    picture: Picture,
    key: Key,
    steps: int,
    greedy: bool,
) -> PyTree:
    player = agent.frozen(state, greedy)
    life_key, start_key, world_key = jax.random.split(key, 3)
    world, observation = environment.reset(start_key)
    play, action = player.begin(player.init(life_key), observation)

    def live(carry: PyTree) -> PyTree:
        play, world, action, time, _ = carry
        world, seen = environment.step(jax.random.fold_in(world_key, time), world, action)
        play, chosen, info = player.step(play, seen.observation, seen.reward, seen.discount)
        shown = (picture.look(innermost(world)), seen.observation, action, seen.reward)
        return (play, world, chosen, time + 1, seen.last), (*shown, info.value, info.td_error)

    def step(carry: PyTree, _: None) -> PyTree:
        over = carry[-1]
        blank = jax.tree.map(
            lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), jax.eval_shape(live, carry)[1]
        )
        carry, shown = jax.lax.cond(over, lambda carry: (carry, blank), live, carry)
        return carry, (shown, carry[-1])

    start = (play, world, action, jnp.zeros((), jnp.int32), jnp.array(False))
    _, (shown, over) = jax.lax.scan(step, start, length=steps)
    return ((picture.look(innermost(world)), observation), shown), over


def host_picture(environment: HostEnvironment) -> tuple[Picture, str]:
    """How a world that Python steps is drawn, and why that is bars if it is.

    It draws itself; one that cannot (its drawing library or a GPU's is missing) is shown as bars.
    """
    try:
        with contextlib.closing(environment.open(1, pictures=True)) as worlds:
            worlds.reset([0], np.array([True]))
            pixels = worlds.picture()
    except RtrrlError as error:
        return Bars(environment.action_space), f"{error}".partition("; mend")[0]
    if np.ndim(pixels) != 3:
        return Bars(environment.action_space), f"'{environment.name}' draws no pixels"
    return Pixels(), ""


def record_host(
    agent: Agent,
    state: Any,
    environment: HostEnvironment,
    picture: Picture,
    key: Key,
    steps: int,
    greedy: bool = False,
) -> Episode:
    """The same on a world that Python steps; `picture` looks at the live world.

    It is the first episode that `host_play.HostPlayers` plays with this key.
    """
    player = agent.frozen(state, greedy)
    begin, step = eqx.filter_jit(player.begin), eqx.filter_jit(player.step)
    words = np.asarray(jax.random.key_data(key)).ravel().tolist()
    shown, answers = [], []
    with contextlib.closing(environment.open(1, pictures=isinstance(picture, Pixels))) as worlds:
        first = worlds.reset([episode_seed(*words, 0)], np.array([True]))[0]
        play, action = begin(player.init(jax.random.fold_in(key, 0)), first)
        shown.append((picture.look(worlds), first))
        over = False
        while len(answers) < steps and not over:
            taken = np.asarray(action)
            seen = worlds.step(taken[None])
            observation, reward, discount = (part[0] for part in seen[:3])
            over = bool(seen.last[0])
            play, action, info = step(play, observation, reward, discount)
            shown.append((picture.look(worlds), observation))
            answers.append((taken, reward, np.asarray(info.value), np.asarray(info.td_error)))
    stack = lambda *rows: np.stack(rows)  # noqa: E731
    return Episode(*jax.tree.map(stack, *shown), *jax.tree.map(stack, *answers), ended=over)
