"""`rtrrl render`: a film of one episode that an agent of a run plays."""

import os
import sys
from argparse import Namespace
from collections.abc import Sequence
from pathlib import Path

import equinox as eqx
import jax
import numpy as np

from rtrrl.cli.parsing import Parser, add_json, print_json, whole
from rtrrl.environments import Environment, HostEnvironment
from rtrrl.errors import NonFiniteError, RtrrlError
from rtrrl.runs import serialization
from rtrrl.runs.config import RunConfig
from rtrrl.training.evaluation import showing_key
from rtrrl.training.train import load_agents
from rtrrl.types import PyTree
from rtrrl.utils.compilation_cache import reuse_programs
from rtrrl.viz.films import Film, Title, check_writable, write
from rtrrl.viz.recording import host_picture, record, record_host
from rtrrl.viz.scenes import Episode, Picture, picture_of

FASTEST, SLOWEST = 25, 2
"""Frames a second, of a long film and of one of a few steps."""
LEAST_SECONDS = 6
"""What a film between them takes."""


def run(args: Sequence[str]) -> int:
    """Plays, draws, and prints the film's path."""
    given = _parser().parse(args)
    reuse_programs()
    path = Path(given.out) if given.out else Path(given.dir) / "episode.gif"
    plan, states, step = load_agents(given.dir)
    check_writable(path)
    if given.agent >= len(plan.seeds):
        raise RtrrlError(
            f"{given.dir} has no agent {given.agent}: expected 0 to {len(plan.seeds) - 1}, in the "
            "order of its seeds"
        )
    episode, picture, why = _episode(plan, states, given)
    label = serialization.label(plan.agent, plan.environment)
    seed = plan.seeds[given.agent]
    title = Title(plan.environment.name, f"{label} · seed {seed} · after {step:,} steps")
    fps = given.fps or int(np.clip((episode.steps + 1) // LEAST_SECONDS, SLOWEST, FASTEST))
    size = write(Film(episode, picture, title), path, fps)
    if given.json:
        print_json(
            {
                "film": str(path),
                "task": plan.environment.name,
                "agent": label,
                "seed": seed,
                "step": step,
                "steps": episode.steps,
                "ended": episode.ended,
                "return": float(episode.rewards.sum(dtype=float)),
                "frames": episode.steps + 1,
                "fps": fps,
                "bytes": size,
                "greedy": given.greedy,
                "picture": type(picture).__name__,
            }
        )
    else:
        print(path)
    if why:
        print(f"rtrrl: drawn as bars: {why}", file=sys.stderr)
    return 0


def _parser() -> Parser:
    parser = Parser(
        "render",
        "Film one episode of an agent of a run, which plays without learning: the world, and "
        "beneath it what the agent expects (v̂) and what surprises it (δ).",
    )
    parser.add_argument("dir", metavar="DIR", help="the run's folder")
    parser.add_argument(
        "--agent",
        metavar="I",
        type=whole(0),
        default=0,
        help="which of the run's agents, from 0 in the order of its seeds (default: 0)",
    )
    parser.add_argument(
        "--seed",
        metavar="S",
        type=whole(0),
        default=0,
        help="of the episode, the first that rtrrl eval --seed S plays (default: 0)",
    )
    parser.add_argument(
        "--steps",
        metavar="N",
        type=whole(1),
        default=500,
        help="film at most N steps (default: 500)",
    )
    parser.add_argument(
        "--greedy", action="store_true", help="take the most probable action (default: sampled)"
    )
    parser.add_argument(
        "--out",
        metavar="FILE",
        help="a .gif, or a .mp4 where ffmpeg is installed (default: DIR/episode.gif)",
    )
    parser.add_argument(
        "--fps",
        metavar="F",
        type=whole(1),
        help=f"frames a second (default: {FASTEST}, fewer where the episode is short)",
    )
    add_json(parser)
    return parser


def _episode(plan: RunConfig, states: PyTree, given: Namespace) -> tuple[Episode, Picture, str]:
    """What happened, how to draw it, and why that is bars if no better picture could be had."""
    agent, state = jax.tree.map(
        lambda leaf: leaf[given.agent] if eqx.is_array(leaf) else leaf, (plan.agent, states)
    )
    # those of `rtrrl eval`, whose first episode this is
    key = showing_key(given.seed)
    world, why = plan.environment, ""
    if isinstance(world, HostEnvironment):
        # Now, not before mujoco is imported: without EGL it could not be, and there are bars.
        if sys.platform == "linux" and not os.environ.get("DISPLAY"):
            os.environ.setdefault("MUJOCO_GL", "egl")
        picture, why = host_picture(world)
        episode = record_host(agent, state, world, picture, key, given.steps, given.greedy)
    else:
        assert isinstance(world, Environment)
        picture, key = picture_of(world), jax.random.split(key, 1)[0]
        episode = record(agent, state, world, picture, key, given.steps, given.greedy)
    if not np.isfinite(episode.rewards).all():
        raise NonFiniteError(f"{world.name} gave NaN or infinity as reward")
    return episode, picture, why
