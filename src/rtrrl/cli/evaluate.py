"""`rtrrl eval`: the agents of a run play, without learning."""

from collections.abc import Sequence

import jax.numpy as jnp
import numpy as np
from jaxtyping import Float
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from rtrrl.cli.parsing import Parser, add_json, print_json, whole
from rtrrl.errors import NonFiniteError
from rtrrl.runs import serialization
from rtrrl.runs.config import RunConfig
from rtrrl.training.evaluation import evaluate_all, showing_key
from rtrrl.training.train import load_agents
from rtrrl.types import PyTree
from rtrrl.utils.compilation_cache import reuse_programs


def run(args: Sequence[str]) -> int:
    """Mean and deviation of each seed's returns."""
    given = _parser().parse(args)
    reuse_programs()
    plan, states, step = load_agents(given.dir)
    returns = _returns(plan, states, given.seed, given.episodes, given.greedy)
    if not np.isfinite(returns).all():
        raise NonFiniteError(f"{plan.environment.name} gave NaN or infinity as reward")
    result = {
        "task": plan.environment.name,
        "agent": serialization.label(plan.agent, plan.environment),
        "step": step,
        "seeds": list(plan.seeds),
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
    parser = Parser("eval", "Let the agents of a run play whole episodes, without learning.")
    parser.add_argument("dir", metavar="DIR", help="the run's folder")
    parser.add_argument(
        "--episodes",
        metavar="N",
        type=whole(1),
        default=100,
        help="episodes each agent plays (default: 100)",
    )
    parser.add_argument(
        "--greedy", action="store_true", help="take the most probable action (default: sampled)"
    )
    parser.add_argument(
        "--seed",
        metavar="S",
        type=whole(0),
        default=0,
        help="of the episodes, which every agent plays alike (default: 0)",
    )
    add_json(parser)
    return parser


def _returns(
    plan: RunConfig, states: PyTree, seed: int, episodes: int, greedy: bool
) -> Float[np.ndarray, "seeds episodes"]:
    keys = jnp.broadcast_to(showing_key(seed), (len(plan.seeds),))
    returns = evaluate_all(plan.agent, states, plan.environment, keys, episodes, greedy)
    return np.asarray(returns, float)


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
