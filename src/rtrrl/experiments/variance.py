"""`make variance`: the variance of updates averaged over environments, for docs/variance.md.

Runs are kept in runs/variance: a finished one is read, an interrupted one is resumed.
"""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from jaxtyping import Float

from rtrrl.experiments.suite import Entry, Results, commands, format_score, markdown_table
from rtrrl.runs.run import Run
from rtrrl.utils.files import write_atomic
from rtrrl.viz import plot_variance

FOLDER = Path("runs/variance")
PAGE = Path("docs/variance.md")
FIGURE = Path("docs/figures/variance.png")

TASKS = ("MemoryChain-16", "CartPole-pos")
NUM_ENVS = (1, 16, 256)
STEPS, SEEDS, EVALUATIONS = 8_000, range(4), 20
PERCENT = (10, 50, 100)
"""The rows of the table, in percent of the training."""

COLUMNS = (
    "environments",
    "at",
    "return",
    "gradient variance",
    "ratio to one",
    "1/N",
    "update norm",
    "ratio to one",
)


def entries(task: str) -> list[Entry]:
    """The default agent in one environment and in many, with equally many updates."""
    return [
        Entry(task, "default", STEPS, SEEDS, evaluations=EVALUATIONS, num_envs=n, variance=True)
        for n in NUM_ENVS
    ]


def main() -> None:
    """Train what is missing, then write the page and its figure."""
    results = {task: [(entry, entry.run(FOLDER)) for entry in entries(task)] for task in TASKS}
    FIGURE.parent.mkdir(parents=True, exist_ok=True)
    plot_variance([run for each in results.values() for _, run in each], FIGURE)
    write_atomic(PAGE, page(results).encode())
    print(f"written: {PAGE} and {FIGURE}")


def page(results: Mapping[str, Results]) -> str:
    """docs/variance.md."""
    config = results[TASKS[0]][0][1].config
    versions, horizon = config["versions"], config["settings"]["optimizer"]["horizon"]
    sections = "\n".join(f"## {task}\n\n{_section(each)}" for task, each in results.items())
    *others, most = NUM_ENVS
    return f"""# Variance of updates from one environment and from many

Written by `make variance` with rtrrl {versions["rtrrl"]}, jax {versions["jax"]}, Python
{versions["python"]}; do not edit.

An online agent updates its parameters after every step, from a single transition. With N
environments (`--num-envs N`) it takes the mean over N transitions first. If the environments were
independent and the agents had learned equally much, the variance of that mean would be 1/N of the
variance with one environment. This page measures it, for the default agent with
{", ".join(map(str, others))} and {most} environments that share its parameters. Each agent makes
{STEPS:,} updates, so one with N environments takes N times as many environment steps.

*Gradient variance* is tr Cov G: the mean squared distance of the ascent direction G = δ e + η_H ∇H
from its mean, over about the last {horizon:,} updates. With several environments G is the mean over
them, as passed to the optimizer. *Update norm* is the root mean square of ‖Δθ‖ over the same
updates, after the optimizer. *Return* is that of the frozen agent. All are medians over the seeds
{SEEDS[0]} … {SEEDS[-1]}; *ratio to one* is the ratio to the median with one environment at the same
step.

![gradient variance and update norm over training](figures/variance.png)

{sections}
## Interpretation

- The ratio exceeds 1/N where environments are not independent. All are reset at the same time, and
  where episodes have equal length they stay synchronized: the variance due to the time within the
  episode is not averaged out.
- The agents have different training histories: at the same step their parameters and their reward
  scale differ, which also affects the size of their gradients. The return shows how much each has
  learned. The ratio can therefore also be below 1/N.
- Adam divides by the size of previous gradients, unless they are as small as its ε. The update norm
  therefore need not decrease with the variance of the gradient.

## Commands to repeat the runs

{commands([entry for each in results.values() for entry, _ in each])}
"""


def _section(results: Results) -> str:
    """A sentence that summarizes the ratios, and the table."""
    runs = {entry.num_envs: run for entry, run in results}
    single = {name: _medians(runs[1], name) for name in ("gradient_variance", "update_norm")}
    rows, summary = [], []
    for n, run in runs.items():
        returns = _medians(run, "evaluation")
        medians = {name: _medians(run, name) for name in single}
        ratios = {name: medians[name] / single[name] for name in single}
        for i, percent in enumerate(PERCENT):
            cells = [str(n), f"{percent} %", format_score(returns[i])]
            cells += [f"{medians['gradient_variance'][i]:.3g}"]
            cells += [f"{ratios['gradient_variance'][i]:.2g}", f"{1 / n:.2g}"]
            cells += [f"{medians['update_norm'][i]:.2g}", f"{ratios['update_norm'][i]:.2g}"]
            rows.append(cells)
        if n > 1:
            times = 1 / ratios["gradient_variance"]
            span = f"{format_score(times.min())} to {format_score(times.max())}"
            summary.append(f"{span} times that with {n} environments")
    text = f"The gradient variance with one environment is {' and '.join(summary)} at these steps."
    return f"{text}\n\n{markdown_table(COLUMNS, rows)}"


def _medians(run: Run, column: str) -> Float[np.ndarray, " steps"]:
    """The median over seeds of a column at each of `PERCENT`."""
    return np.array(
        [
            np.median([row[column] for row in run.metrics if row["step"] == STEPS * percent // 100])
            for percent in PERCENT
        ]
    )


if __name__ == "__main__":
    main()
