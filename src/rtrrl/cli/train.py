"""`rtrrl train`: from the arguments to a run, and what is shown of it."""

import argparse
import dataclasses
import json
import shlex
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import equinox as eqx
import jax
import numpy as np
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from rtrrl.agents import Agent
from rtrrl.agents.monitoring import is_monitored, monitored, unmonitored
from rtrrl.agents.registry import preset
from rtrrl.cli import options
from rtrrl.cli.parsing import Parser, add_json, whole
from rtrrl.environments import AbstractEnvironment, make
from rtrrl.errors import NonFiniteError, RtrrlError, RunFolderError, UnsupportedCellError
from rtrrl.learning.policies import Categorical, Factored, Gaussian
from rtrrl.runs import storage
from rtrrl.runs.config import RunConfig
from rtrrl.runs.run import Run, StopReason
from rtrrl.training.train import resume, train
from rtrrl.utils.compilation_cache import reuse_programs

SEEDS = 5
EXAMPLE = "MemoryChain-32"


def run(args: Sequence[str]) -> int:
    """Train anew or go on, as `args` say."""
    plain, nested = options.split(args)
    parser = _parser()
    if {"-h", "--help"} & set(plain):
        return _help(parser, [token for token in plain if token not in ("-h", "--help")])
    example = lambda: options.option_names(preset("default", EXAMPLE))  # noqa: E731
    given = parser.parse(plain, more_options=example)
    reuse_programs()
    if given.resume is not None:
        return _resume(given, nested)
    if given.task is None and given.config is None:
        raise RtrrlError(f"which task? for example rtrrl train {EXAMPLE}; rtrrl tasks lists them")
    base = {} if given.config is None else _read_config(Path(given.config))
    agent, environment, plan = _asked(given, base)
    agent = options.change(agent, nested)
    if given.variance:
        agent = monitored(agent)
    _check(agent, hint="; add --rule snap1" if given.cell and not given.rule else "")
    name = given.agent or base.get("agent", "default").partition(",")[0]
    out = Path(given.out) if given.out else _free(environment.name, name)
    return _watched(
        out,
        given.json,
        lambda: train(
            agent,
            environment=environment,
            out=out,
            overwrite=given.overwrite,
            progress=True,
            **plan,
        ),
    )


def _parser() -> Parser:
    parser = Parser(
        "train",
        "Train an agent from one stream per seed. Each run is a folder.",
        usage="rtrrl train TASK [options] [--agent.SETTING VALUE ...]\n"
        "       rtrrl train --resume DIR",
        add_help=False,
    )
    parser.add_argument("task", metavar="TASK", nargs="?", help="as `rtrrl tasks` lists them")

    agent = parser.add_argument_group("agent")
    agent.add_argument("--agent", metavar="NAME", help="one of `rtrrl agents` (default: default)")
    for part in options.PARTS:
        names = f"{part.description}: {', '.join(part.names)}"
        agent.add_argument(f"--{part.flag}", metavar="NAME", help=names)

    length = parser.add_argument_group("training and evaluation")
    switch = argparse.BooleanOptionalAction
    for name, least, text in (
        ("steps", 1, "steps of each seed (default: 500,000)"),
        ("seeds", 1, f"how many agents, each with a seed of its own (default: {SEEDS})"),
        ("seed", 0, "the first of the seeds (default: 0)"),
        ("evaluations", 1, "how often agents are evaluated, evenly (default: 50)"),
        ("episodes", 1, "episodes an evaluation (default: 10)"),
        ("patience", 1, "stop after as many evaluations without a new best (default: never)"),
        ("num-envs", 1, "copies of the world each agent lives in at once (default: 1)"),
        ("workers", 1, "threads (default: one a core); on the host, 2 for a process a seed"),
    ):
        length.add_argument(f"--{name}", metavar="N", type=whole(least), help=text)
    length.add_argument("--greedy", action=switch, help="evaluate the most probable actions")
    length.add_argument("--variance", action=switch, help="record the variance of the updates")

    files = parser.add_argument_group("files")
    files.add_argument(
        "--out", metavar="DIR", help="the run's folder (default: runs/TASK-AGENT-1, -2 ...)"
    )
    files.add_argument("--overwrite", action="store_true", help="replace the run that is in --out")
    files.add_argument(
        "--config", metavar="FILE", help="start from a former run's settings; flags override them"
    )
    files.add_argument("--resume", metavar="DIR", help="go on with a run that was interrupted")
    add_json(files)
    files.add_argument("-h", "--help", action="store_true", help="print this")
    return parser


def _help(parser: Parser, plain: list[str]) -> int:
    """With the settings of the agent that the other arguments describe."""
    given, _ = parser.parse_known_args(plain)
    given.task = given.task or EXAMPLE
    agent, *_ = _asked(given, {})
    print(parser.format_help())
    print(f"settings of the agent, here with the values of '{given.agent or 'default'}'")
    print(options.help_for(agent), end="")
    return 0


def _asked(
    given: argparse.Namespace, base: dict[str, Any]
) -> tuple[Agent, AbstractEnvironment, dict[str, Any]]:
    """The agent less its single settings, the environment, and the other arguments of `train`.

    What is not `given` is as in `base`, the config of a former run, if there is one.
    """
    environment = make(given.task or base["task"])
    if base and given.agent is None:
        agent = _moved(RunConfig.of(base, environment).agent, environment)
    else:
        agent = preset(given.agent or "default", environment)
    if given.variance is None:
        given.variance = is_monitored(agent)
    plan = {
        name: base[name] if getattr(given, name) is None else getattr(given, name)
        for name in ("steps", "evaluations", "episodes", "greedy", "patience", "workers")
        if name in base or getattr(given, name) is not None
    }
    if (num_envs := base.get("num_envs") if given.num_envs is None else given.num_envs) is not None:
        plan["num_envs"] = num_envs
    known = base.get("seeds", range(SEEDS))
    first = known[0] if given.seed is None else given.seed
    count = len(known) if given.seeds is None else given.seeds
    changed = given.seed is not None or given.seeds is not None
    seeds = range(first, first + count) if changed else known
    return options.choose(unmonitored(agent), given), environment, plan | {"seeds": tuple(seeds)}


def _read_config(path: Path) -> dict[str, Any]:
    path = path / storage.CONFIG if path.is_dir() else path
    try:
        config = json.loads(path.read_bytes())
    except ValueError as error:
        raise RunFolderError(f"{path} is no config of a run: it cannot be read as JSON") from error
    match config:
        case {"task": str(), "agent": str(), "settings": dict(), "seeds": [int(), *_]}:
            return config
    raise RunFolderError(f"{path} is no config of a run: it lacks its task, settings or seeds")


def _moved(agent: Agent, environment: AbstractEnvironment) -> Agent:
    """The same settings for another task."""
    there = preset("paper", environment)
    fields = {name: getattr(there, name) for name in ("task", "observation_size", "policy")}
    match getattr(agent, "policy", None), fields["policy"]:
        case Gaussian() as own, Gaussian(low=low, high=high):
            fields["policy"] = dataclasses.replace(own, low=low, high=high)
        case Categorical() as own, Categorical(num_actions=n):
            fields["policy"] = dataclasses.replace(own, num_actions=n)
        case Factored() as own, Factored(sizes=sizes):
            fields["policy"] = dataclasses.replace(own, sizes=sizes)
        case own, policy if own is not None and own == own.exploring():
            fields["policy"] = policy.exploring()
    return dataclasses.replace(
        agent, **{name: value for name, value in fields.items() if hasattr(agent, name)}
    )


def _check(agent: Agent, hint: str) -> None:
    """Builds an agent in thought, so that what does not fit is said before a folder is made."""
    arrays, rest = eqx.partition(agent, eqx.is_array)

    def born(first: Any) -> Any:
        return eqx.combine(first, rest).init(jax.random.key(0))

    try:
        eqx.filter_eval_shape(born, jax.tree.map(lambda leaf: leaf[0], arrays))
    except UnsupportedCellError as error:
        raise UnsupportedCellError(f"{error}{hint}") from error
    except ValueError as error:
        raise RtrrlError(str(error)) from error


def _free(task: str, agent: str) -> Path:
    """The first folder runs/TASK-AGENT-1, -2 ... that does not exist."""
    number = 1
    while (folder := Path("runs") / f"{task.replace('/', '-')}-{agent}-{number}").exists():
        number += 1
    return folder


def _resume(given: argparse.Namespace, nested: Sequence[str]) -> int:
    folder = Path(given.resume)
    others = [
        f"--{name}"
        for name, value in vars(given).items()
        if value is not None and value is not False and name not in ("task", "resume", "json")
    ]
    if others := others + [token for token in nested if token.startswith("--")]:
        raise RtrrlError(
            f"--resume goes on with a run as it was begun: it cannot be combined with "
            f"{', '.join(others)}; to begin another one from its settings, use --config {folder}"
        )
    if given.task is not None and given.task != (task := storage.load_run(folder).config["task"]):
        raise RtrrlError(f"{folder} is a run of {task}, not of {given.task}: leave the task out")
    return _watched(folder, given.json, lambda: resume(folder, progress=True))


def _watched(folder: Path, as_json: bool, train: Callable[[], Run]) -> int:
    """Trains, and says what came of it, whichever way it ended."""
    go_on = f"go on with: rtrrl train --resume {shlex.quote(str(folder))}"
    try:
        run = train()
    except KeyboardInterrupt:  # before the first step, or the second Ctrl-C
        kept = (folder / storage.CHECKPOINT).exists()
        raise KeyboardInterrupt(f"interrupted; {go_on}" if kept else "interrupted") from None
    except NonFiniteError as error:
        raise NonFiniteError(f"{error} (the run is kept in {folder})") from error
    if as_json:
        print((folder / storage.RESULT).read_text(), end="")
    else:
        _show(run, folder)
    if run.stopped_by is StopReason.INTERRUPT:
        print(f"interrupted at step {run.steps:,}; {go_on}", file=sys.stderr)
        return 130
    return 0


def _show(run: Run, folder: Path) -> None:
    """Every seed's scores, and where the files are."""
    console = Console()
    console.print(f"{run.config['task']} · {run.config['agent']}", style="bold", markup=False)
    table = Table(box=SIMPLE_HEAD)
    for heading in ("seed", "best", "final"):
        table.add_column(heading, justify="right")
    for seed, best, final in zip(run.seeds, run.best, run.final, strict=True):
        table.add_row(f"{seed}", _score(best), _score(final))
    if len(run.seeds) > 1:
        table.add_section()
        table.add_row("median", _score(np.median(run.best)), _score(np.median(run.final)))
    console.print(table)
    stopped = "" if run.stopped_by is StopReason.BUDGET else f", stopped by {run.stopped_by}"
    console.print(
        f"{run.steps:,} steps a seed, {run.steps_per_second:,.0f} steps a second{stopped}",
        highlight=False,
    )
    # plain print: a path is never wrapped
    print(f"run    {folder}")
    if run.metrics:
        print(f"curve  {folder / storage.CURVE}")
    if run.monitored:
        print(f"noise  {folder / storage.VARIANCE}")


def _score(value: float | np.floating) -> str:
    return "–" if np.isnan(value) else f"{value:.4g}"
