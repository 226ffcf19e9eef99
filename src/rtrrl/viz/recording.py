"""Recordings of one episode of a frozen agent, to be drawn."""

import contextlib

import jax
import numpy as np

from rtrrl.agents import Agent
from rtrrl.environments import AbstractEnvironment, HostEnvironment
from rtrrl.errors import RtrrlError
from rtrrl.training.rollout import QUANTITIES, Step, rollout
from rtrrl.types import Key, PyTree
from rtrrl.viz.scenes import Bars, Episode, Pixels, SceneRenderer, unwrapped


def record(
    frozen: Agent, environment: AbstractEnvironment, renderer: SceneRenderer, key: Key, steps: int
) -> Episode:
    """Record one episode of a frozen agent, of at most `steps` steps.

    Of the environment's states only what `renderer` extracts is kept. The episode is the first
    that an evaluation with this key runs.
    """

    def snapshot(step: Step) -> PyTree:
        return renderer.extract(unwrapped(step.env_state))

    host = isinstance(environment, HostEnvironment)
    agent_key = jax.random.fold_in(key, 0) if host else jax.random.split(key, 3)[0]
    names = ("observation", "action", "reward", "value", "td_error", "last")
    recorded = rollout(
        frozen,
        frozen.init(agent_key),
        environment,
        steps,
        record={"snapshot": snapshot} | {name: QUANTITIES[name] for name in names},
        key=key,
        episodes=1,
        render=host and isinstance(renderer, Pixels),
    )
    first, rows = jax.tree.map(np.asarray, (recorded.first, dict(recorded)))
    join = lambda one, more: np.concatenate([one[None], more])  # noqa: E731
    return Episode(
        snapshots=jax.tree.map(join, first["snapshot"], rows["snapshot"]),
        observations=join(first["observation"], rows["observation"]),
        actions=rows["action"],
        rewards=rows["reward"],
        values=rows["value"],
        td_errors=rows["td_error"],
        ended=bool(rows["last"][-1]),
    )


def host_renderer(environment: HostEnvironment) -> tuple[SceneRenderer, str]:
    """The renderer of an environment that Python steps, and the reason if that is `Bars`.

    Its own images are used, unless it has none: a drawing library or graphics driver is missing.
    """
    try:
        with contextlib.closing(environment.make_vector(1, render=True)) as envs:
            envs.reset([0], np.array([True]))
            pixels = envs.render()
    except RtrrlError as error:
        return Bars(environment.action_space), f"{error}".partition("; fix the environment")[0]
    if np.ndim(pixels) != 3:
        return Bars(environment.action_space), f"'{environment.name}' renders no pixels"
    return Pixels(), ""
