"""`rtrrl eval`: evaluate the agents of a run, without learning."""

from collections.abc import Sequence

import jax.numpy as jnp
import numpy as np
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from rtrrl.cli.parsing import SEED, Parser, add_common, print_json, whole
from rtrrl.errors import NonFiniteError
from rtrrl.runs.config import MAX_EPISODE_STEPS
from rtrrl.runs.serialization import strict
from rtrrl.training.callbacks import episodes_bar
from rtrrl.training.evaluation import display_key, evaluate_all
from rtrrl.training.train import load
from rtrrl.utils.compilation_cache import use_compilation_cache


def run(args: Sequence[str]) -> int:
    """Print mean and standard deviation of each seed's returns."""
    given = _parser().parse(args)
    use_compilation_cache()
    trained = load(given.dir, best=given.best)
    agents, environment = trained.agent, trained.environment
    keys = jnp.broadcast_to(display_key(given.seed), (len(trained.seeds),))
    with episodes_bar(environment.name) as poll:
        returns = evaluate_all(
            agents,
            trained.states,
            environment,
            keys,
            given.episodes,
            given.greedy,
            given.max_episode_steps,
            poll,
        )
    returns = np.asarray(returns, float)
    if not np.isfinite(returns).all():
        raise NonFiniteError(f"{environment.name} gave NaN or infinity as reward")
    result = {
        "task": environment.name,
        "agent": trained.config.label,
        "steps": list(trained.steps),
        "seeds": list(trained.seeds),
        "per_seed": strict(trained.config.per_seed),
        "episodes": given.episodes,
        "greedy": given.greedy,
        "mean": returns.mean(axis=1).tolist(),
        "std": returns.std(axis=1).tolist(),
        "returns": returns.tolist(),
    }
    if given.json:
        print_json(result)
    else:
        _show(result)
    return 0


def _parser() -> Parser:
    parser = Parser("eval", "Evaluate the agents of a run on whole episodes, without learning.")
    parser.add_argument("dir", metavar="DIR", help="the run's folder")
    parser.add_argument(
        "--episodes",
        metavar="N",
        type=whole(1),
        default=100,
        help="episodes of each agent (default: 100)",
    )
    parser.add_argument(
        "--greedy", action="store_true", help="take the most probable action (default: sampled)"
    )
    parser.add_argument(
        "--best",
        action="store_true",
        help="the agents as they were at their best evaluations (default: as last saved)",
    )
    parser.add_argument(
        "--max-episode-steps",
        metavar="N",
        type=whole(1),
        default=MAX_EPISODE_STEPS,
        help=f"cut an episode there (default: {MAX_EPISODE_STEPS:,})",
    )
    parser.add_argument(
        "--seed",
        metavar="S",
        type=SEED,
        default=0,
        help="of the episodes, the same for every agent (default: 0)",
    )
    add_common(parser)
    return parser


def _show(result: dict) -> None:
    console = Console()
    console.print(f"{result['task']} · {result['agent']}", style="bold", markup=False)
    table = Table(box=SIMPLE_HEAD)
    settings = result["per_seed"]
    for heading in ("seed", *settings, "steps"):
        table.add_column(heading, justify="right")
    table.add_column("return")
    columns = (result["seeds"], *settings.values(), *(result[x] for x in ("steps", "mean", "std")))
    for *own, steps, mean, std in zip(*columns, strict=True):
        table.add_row(*map(str, own), f"{steps:,}", f"{mean:.4g} ± {std:.3g}")
    console.print(table)
    how = "the most probable actions" if result["greedy"] else "sampled actions"
    console.print(
        f"mean ± standard deviation over {result['episodes']:,} episodes of {how}",
        highlight=False,
    )
