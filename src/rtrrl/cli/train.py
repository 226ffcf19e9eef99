"""`rtrrl train`: train an agent, or resume a run."""

import argparse
import contextlib
import json
import re
import shlex
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from rtrrl.agents import Agent
from rtrrl.agents.monitoring import is_monitored, monitored, unmonitored
from rtrrl.agents.parts import PARTS, with_parts
from rtrrl.agents.registry import make_agent
from rtrrl.agents.transfer import for_environment
from rtrrl.cli import options
from rtrrl.cli.parsing import SEED, Parser, add_common, json_object, whole
from rtrrl.environments import AbstractEnvironment, make
from rtrrl.errors import (
    NonFiniteError,
    RtrrlError,
    RunFolderError,
    TrainingInterrupted,
    UnsupportedCellError,
)
from rtrrl.runs import storage
from rtrrl.runs.config import RunConfig
from rtrrl.runs.locking import numbered_folder
from rtrrl.runs.run import Run, StopReason
from rtrrl.training.callbacks import LOGGERS, Callback
from rtrrl.training.train import resume, train
from rtrrl.utils.compilation_cache import use_compilation_cache

SEEDS = 5
EXAMPLE = "MemoryChain-32"


def run(args: Sequence[str]) -> int:
    """Train or resume, as `args` say."""
    plain, nested = options.split(args)
    parser = _parser()
    if {"-h", "--help"} & set(plain):
        return _help(parser, [token for token in plain if token not in ("-h", "--help")])
    example = lambda: options.settings(make_agent("default", EXAMPLE))  # noqa: E731
    given = parser.parse(plain, more_options=lambda: [setting.option for setting in example()])
    use_compilation_cache()
    if given.resume is not None:
        return _resume(given, nested)
    if not (given.task or given.config or given.start_from):
        raise RtrrlError(f"which task? for example rtrrl train {EXAMPLE}; rtrrl tasks lists them")
    source = given.config or given.start_from
    base = {} if source is None else _read_config(Path(source))
    agent, environment, settings = _configure(given, base)
    agent = options.change(agent, nested)
    if given.variance:
        agent = monitored(agent)
    name = given.agent or base.get("agent", "default").partition(",")[0]
    task = re.sub(r"[^\w.:@-]+", "-", environment.name).strip("-")
    stem = Path("runs") / f"{task}-{name}"
    out = Path(given.out) if given.out else numbered_folder(stem)

    def start() -> Run:
        return train(
            environment,
            agent,
            out=out,
            overwrite=given.overwrite,
            callbacks=_loggers(given, out),
            progress=True,
            start_from=given.start_from,
            **settings,
        )

    try:
        return _report(out, given.json, start)
    finally:
        if not given.out:
            for folder in (out, out.parent):
                with contextlib.suppress(OSError):  # it stays where anything is in it
                    folder.rmdir()


def _parser() -> Parser:
    parser = Parser(
        "train",
        "Train an agent from one stream of experience per seed. Each run is a folder.",
        usage="rtrrl train TASK [options] [--agent.SETTING VALUE ...]\n"
        "       rtrrl train --resume DIR [--steps N]",
        add_help=False,
    )
    parser.add_argument("task", metavar="TASK", nargs="?", help="as `rtrrl tasks` lists them")
    parser.add_argument(
        "--env-kwargs",
        metavar="JSON",
        type=json_object,
        help="""constructor arguments of the environment, as in '{"size": 8}'""",
    )
    parser.add_argument(
        "--seed-once",
        action="store_true",
        help="seed the environment once, with the first seed, not anew for each episode",
    )

    agent = parser.add_argument_group("agent")
    agent.add_argument("--agent", metavar="NAME", help="one of `rtrrl agents` (default: default)")
    for part in PARTS:
        names = f"{part.description}: {', '.join(part.members)}"
        agent.add_argument(f"--{part.flag}", metavar="NAME", help=names)

    length = parser.add_argument_group("training and evaluation")
    switch = argparse.BooleanOptionalAction
    for name, least, text in (
        ("steps", 1, "steps of each seed (default: 500,000)"),
        ("seeds", 1, f"how many agents, each with its own seed (default: {SEEDS})"),
        ("evaluations", 1, "number of evaluations, evenly spaced (default: 50)"),
        ("episodes", 1, "episodes per evaluation (default: 10)"),
        ("max-episode-steps", 1, "cut an evaluation episode there (default: 10,000)"),
        ("patience", 1, "stop after that many evaluations without a new best (default: never)"),
        ("num-envs", 1, "copies of the environment that each agent acts in (default: 1)"),
        ("workers", 1, "threads (default: one per core); on the host, 2 for a process per seed"),
    ):
        length.add_argument(f"--{name}", metavar="N", type=whole(least), help=text)
    length.add_argument(
        "--seed", metavar="N", type=SEED, help="the first of the seeds (default: 0)"
    )
    length.add_argument("--greedy", action=switch, help="evaluate the most probable actions")
    length.add_argument("--variance", action=switch, help="record the variance of the updates")

    files = parser.add_argument_group("files")
    files.add_argument(
        "--out", metavar="DIR", help="the run's folder (default: runs/TASK-AGENT-1, -2 ...)"
    )
    files.add_argument("--overwrite", action="store_true", help="replace the run that is in --out")
    files.add_argument(
        "--config", metavar="FILE", help="start from another run's settings; flags override them"
    )
    files.add_argument(
        "--start-from",
        metavar="DIR",
        help="start from another run's settings and trained agents; flags override settings",
    )
    files.add_argument(
        "--resume",
        metavar="DIR",
        help="continue a run that was interrupted, or a finished one up to more --steps",
    )
    files.add_argument(
        "--log", metavar="NAME", action="append", help=f"log metrics to: {', '.join(LOGGERS)}"
    )
    add_common(files)
    files.add_argument("-h", "--help", action="store_true", help="print this")
    return parser


def _help(parser: Parser, plain: list[str]) -> int:
    """Print the help, with the settings of the agent that the other arguments describe."""
    given, _ = parser.parse_known_args(plain)
    given.task = given.task or EXAMPLE
    agent, *_ = _configure(given, {})
    print(parser.format_help())
    print(f"settings of the agent, here with the values of '{given.agent or 'default'}'\n")
    print(options.help_for(agent), end="")
    return 0


def _configure(
    given: argparse.Namespace, base: dict[str, Any]
) -> tuple[Agent, AbstractEnvironment, dict[str, Any]]:
    """The agent before `--agent.x` options, the environment, and the other arguments of `train`.

    What is not `given` is taken from `base`, the config of another run, or empty.
    """
    known = base.get("seeds", range(SEEDS))
    first = known[0] if given.seed is None else given.seed
    once = {"seed_once": first} if given.seed_once else {}
    environment = make(given.task or base["task"], **(given.env_kwargs or {}) | once)
    if base and given.agent is None:
        made_in = environment if environment.name == base["task"] else None
        former = RunConfig.from_dict(base, made_in)
        agent = for_environment(former.agent, environment)
    else:
        agent = make_agent("default" if given.agent is None else given.agent, environment)
    if given.variance is None:
        given.variance = is_monitored(agent)
    names = ("steps", "evaluations", "episodes", "greedy", "max_episode_steps", "patience")
    names += ("num_envs", "workers")
    chosen = {name: getattr(given, name) for name in names if getattr(given, name) is not None}
    settings = {name: base[name] for name in names if name in base} | chosen
    count = len(known) if given.seeds is None else given.seeds
    changed = given.seed is not None or given.seeds is not None
    seeds = range(first, first + count) if changed else known
    parts = {part.flag: getattr(given, part.flag) for part in PARTS}
    try:
        agent = with_parts(unmonitored(agent), parts)
    except UnsupportedCellError as error:
        hint = "; add --rule snap1" if given.cell and not given.rule else ""
        raise UnsupportedCellError(f"{error}{hint}") from error
    return agent, environment, settings | {"seeds": tuple(seeds)}


def _read_config(path: Path) -> dict[str, Any]:
    path = path / storage.CONFIG if path.is_dir() else path
    try:
        config = json.loads(path.read_bytes())
    except ValueError as error:
        raise RunFolderError(
            f"{path} is not the config of a run: it cannot be read as JSON"
        ) from error
    match config:
        case {"task": str(), "agent": str(), "settings": dict(), "seeds": [int(), *_]}:
            return config
    raise RunFolderError(f"{path} is not the config of a run: it lacks its task, settings or seeds")


def _loggers(given: argparse.Namespace, out: Path) -> list[Callback]:
    return [LOGGERS.make(name, out) for name in given.log or ()]


def _resume(given: argparse.Namespace, nested: Sequence[str]) -> int:
    folder = Path(given.resume)
    others = [
        f"--{name.replace('_', '-')}"
        for name, value in vars(given).items()
        if value is not None
        and value is not False
        and name not in ("task", "resume", "json", "log", "steps")
    ]
    if others := others + [token.partition("=")[0] for token in nested]:
        raise RtrrlError(
            f"--resume continues a run as it was configured: it cannot be combined with "
            f"{', '.join(others)}; to start another one from its settings, use --config "
            f"{shlex.quote(str(folder))}"
        )
    if given.task is not None and given.task != (task := storage.load_run(folder).config["task"]):
        raise RtrrlError(f"{folder} is a run of {task}, not of {given.task}: leave the task out")
    callbacks = _loggers(given, folder)
    go_on = lambda: resume(folder, steps=given.steps, callbacks=callbacks, progress=True)  # noqa: E731
    return _report(folder, given.json, go_on)


def _report(folder: Path, as_json: bool, train: Callable[[], Run]) -> int:
    """Train, and print the result, even where training was interrupted."""
    go_on = f"continue with: rtrrl train --resume {shlex.quote(str(folder))}"
    try:
        run, code = train(), 0
    except TrainingInterrupted as interrupt:
        run, code = interrupt.run, 130
    except KeyboardInterrupt:  # before the first step, or the second Ctrl-C
        kept = (folder / storage.CHECKPOINT).exists()
        raise KeyboardInterrupt(f"interrupted; {go_on}" if kept else "interrupted") from None
    except NonFiniteError as error:
        raise NonFiniteError(f"{error} (the run is kept in {folder})") from error
    if as_json:
        print((folder / storage.RESULT).read_text(), end="")
    else:
        _print(run, folder)
    sys.stdout.flush()
    _draw(run)
    if code:
        print(f"interrupted at step {run.agents().step:,}; {go_on}", file=sys.stderr)
    return code


def _print(run: Run, folder: Path) -> None:
    """Every seed's scores, and the paths of the files."""
    console = Console()
    console.print(f"{run.config['task']} · {run.config['agent']}", style="bold", markup=False)
    table = Table(box=SIMPLE_HEAD)
    settings = run.per_seed
    for heading in ("seed", *settings, "best", "final"):
        table.add_column(heading, justify="right")
    for *own, best, final in zip(run.seeds, *settings.values(), run.best, run.final, strict=True):
        table.add_row(*map(str, own), _score(best), _score(final))
    if len(run.seeds) > 1:
        table.add_section()
        medians = (_score(np.median(scores)) for scores in (run.best, run.final))
        table.add_row("median", *("" for _ in settings), *medians)
    console.print(table)
    stopped = "" if run.stopped_by is StopReason.BUDGET else f", stopped by {run.stopped_by}"
    console.print(
        f"{run.steps:,} steps of each seed, {run.steps_per_second:,.0f} steps a second{stopped}",
        highlight=False,
    )
    # plain print: a path is never wrapped
    print(f"run    {folder}")
    if run.metrics:
        print(f"curve  {folder / storage.CURVE}")
    if run.monitored:
        print(f"noise  {folder / storage.VARIANCE}")


def _draw(run: Run) -> None:
    """The figures, after the result: importing matplotlib takes as long as a short run."""
    from rtrrl.viz import plot, plot_variance

    if run.metrics:
        plot(run)
    if run.monitored:
        plot_variance(run)


def _score(value: float | np.floating) -> str:
    return "–" if np.isnan(value) else f"{value:.4g}"
