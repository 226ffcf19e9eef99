"""`rtrrl eval`: evaluate the agents of a run, without learning."""

from collections.abc import Sequence

import jax.numpy as jnp
import numpy as np
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from rtrrl.cli.parsing import Parser, add_common, print_json, whole
from rtrrl.errors import NonFiniteError
from rtrrl.training.evaluation import display_key, evaluate_all
from rtrrl.training.train import load
from rtrrl.utils.compilation_cache import reuse_programs


def run(args: Sequence[str]) -> int:
    """Print mean and standard deviation of each seed's returns."""
    given = _parser().parse(args)
    reuse_programs()
    trained = load(given.dir)
    agents, environment = trained.agent, trained.environment
    keys = jnp.broadcast_to(display_key(given.seed), (len(trained.seeds),))
    returns = np.asarray(
        evaluate_all(agents, trained.states, environment, keys, given.episodes, given.greedy), float
    )
    if not np.isfinite(returns).all():
        raise NonFiniteError(f"{environment.name} gave NaN or infinity as reward")
    result = {
        "task": environment.name,
        "agent": trained.config.label,
        "step": trained.step,
        "seeds": list(trained.seeds),
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
        "--seed",
        metavar="S",
        type=whole(0),
        default=0,
        help="of the episodes, the same for every agent (default: 0)",
    )
    add_common(parser)
    return parser


def _show(result: dict) -> None:
    console = Console()
    console.print(f"{result['task']} · {result['agent']}", style="bold", markup=False)
    table = Table(box=SIMPLE_HEAD)
    table.add_column("seed", justify="right")
    table.add_column("return")
    for seed, mean, std in zip(result["seeds"], result["mean"], result["std"], strict=True):
        table.add_row(f"{seed}", f"{mean:.4g} ± {std:.3g}")
    console.print(table)
    how = "the most probable actions" if result["greedy"] else "sampled actions"
    console.print(
        f"mean ± standard deviation over {result['episodes']:,} episodes of {how}, "
        f"after {result['step']:,} steps",
        highlight=False,
    )
