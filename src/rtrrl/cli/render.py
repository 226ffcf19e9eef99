"""`rtrrl render`: a film of one episode of a trained agent."""

import os
import sys
from argparse import Namespace
from collections.abc import Sequence
from pathlib import Path

import jax
import numpy as np
from rich.console import Console

from rtrrl.cli.parsing import SEED, Parser, add_common, print_json, whole
from rtrrl.environments import Environment, HostEnvironment
from rtrrl.errors import NonFiniteError, RtrrlError
from rtrrl.runs.run import TrainedAgents
from rtrrl.training.evaluation import display_key
from rtrrl.training.train import load
from rtrrl.utils.compilation_cache import use_compilation_cache
from rtrrl.viz.films import Film, Title, check_writable, write
from rtrrl.viz.recording import host_renderer, record
from rtrrl.viz.scenes import Episode, SceneRenderer, renderer_for

MIN_FPS, MAX_FPS = 2, 25
"""The frames per second of the shortest and the longest films."""
SECONDS = 6
"""The duration of films between them."""


def run(args: Sequence[str]) -> int:
    """Record and draw the episode, and print the path of the film."""
    given = _parser().parse(args)
    use_compilation_cache()
    path = Path(given.out) if given.out else Path(given.dir) / "episode.gif"
    trained = load(given.dir, best=given.best)
    check_writable(path)
    if given.agent >= len(trained.seeds):
        raise RtrrlError(
            f"{given.dir} has no agent {given.agent}: expected 0 to {len(trained.seeds) - 1}, in "
            "the order of its seeds"
        )
    with Console(stderr=True).status("recording an episode"):
        episode, renderer, fallback = _record(trained, given)
    task, label = trained.environment.name, trained.config.label
    seed, name = trained.seeds[given.agent], trained.config.seed_names[given.agent]
    steps = trained.steps[given.agent]
    title = Title(task, f"{label} · seed {name} · after {steps:,} steps")
    fps = given.fps or int(np.clip((episode.steps + 1) // SECONDS, MIN_FPS, MAX_FPS))
    with Console(stderr=True).status(f"drawing {episode.steps + 1:,} frames"):
        size = write(Film(episode, renderer, title), path, fps)
    if given.json:
        print_json(
            {
                "film": str(path),
                "task": task,
                "agent": label,
                "seed": seed,
                "step": steps,
                "steps": episode.steps,
                "ended": episode.ended,
                "return": float(episode.rewards.sum(dtype=float)),
                "frames": episode.steps + 1,
                "fps": fps,
                "bytes": size,
                "greedy": given.greedy,
                "renderer": type(renderer).__name__,
            }
        )
    else:
        print(path)
    if fallback:
        print(f"rtrrl: drawn as bars: {fallback}", file=sys.stderr)
    return 0


def _parser() -> Parser:
    parser = Parser(
        "render",
        "Film one episode of an agent of a run, without learning: the environment, and below it "
        "the value v̂ and the TD error δ.",
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
        "--best",
        action="store_true",
        help="the agent as it was at its best evaluation (default: as last saved)",
    )
    parser.add_argument(
        "--seed",
        metavar="S",
        type=SEED,
        default=0,
        help="of the episode, the first of rtrrl eval --seed S (default: 0)",
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
        help=f"frames per second (default: {MAX_FPS}, fewer where the episode is short)",
    )
    add_common(parser)
    return parser


def _record(trained: TrainedAgents, given: Namespace) -> tuple[Episode, SceneRenderer, str]:
    """The episode, its renderer, and if that draws bars for lack of a better one, the reason."""
    environment, key, fallback = trained.environment, display_key(given.seed), ""
    if isinstance(environment, HostEnvironment):
        # before mujoco is imported, which is possible without EGL: bars are drawn then
        if sys.platform == "linux" and not os.environ.get("DISPLAY"):
            os.environ.setdefault("MUJOCO_GL", "egl")
        renderer, fallback = host_renderer(environment)
    else:
        assert isinstance(environment, Environment)
        renderer = renderer_for(environment)
        key = jax.random.split(key, 1)[0]  # that of the first episode of an evaluation
    agent, state = trained.one(given.agent)
    frozen = agent.frozen(state, given.greedy)
    episode = record(frozen, environment, renderer, key, given.steps)
    if not np.isfinite(episode.rewards).all():
        raise NonFiniteError(f"{environment.name} gave NaN or infinity as reward")
    return episode, renderer, fallback
