"""`make variance`: how much calmer the mean of many streams is, written into docs/variance.md.

The runs lie in runs/variance; a finished one is read, an interrupted one goes on.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Float

from rtrrl.experiments.suite import Entry, markdown, shown
from rtrrl.runs.run import Run
from rtrrl.utils.files import write_atomic
from rtrrl.viz.curves import update_variance

FOLDER = Path("runs/variance")
PAGE = Path("docs/variance.md")
FIGURE = Path("docs/figures/variance.png")

TASKS = ("MemoryChain-16", "CartPole-pos")
ENVS_AXIS = (1, 16, 256)
STEPS, SEEDS, EVALUATIONS = 8_000, range(4), 20
MOMENTS = (10, 50, 100)
"""Percent of the training at which the table looks."""

COLUMNS = (
    "streams",
    "at",
    "return",
    "gradient variance",
    "to one stream",
    "1/N",
    "update norm",
    "to one stream",
)

Done = Sequence[tuple[Entry, Run]]


def entries(task: str) -> list[Entry]:
    """The default agent in one copy of the task's world and in many: as many updates each."""
    return [
        Entry(task, "default", STEPS, SEEDS, evaluations=EVALUATIONS, num_envs=n, variance=True)
        for n in ENVS_AXIS
    ]


def main() -> None:
    """Runs what is missing, then writes page and figure."""
    done = {task: [(entry, entry.run(FOLDER)) for entry in entries(task)] for task in TASKS}
    FIGURE.parent.mkdir(parents=True, exist_ok=True)
    update_variance([run for each in done.values() for _, run in each], FIGURE)
    write_atomic(PAGE, page(done).encode())
    print(f"written: {PAGE} and {FIGURE}")


def page(done: Mapping[str, Done]) -> str:
    """docs/variance.md."""
    config = done[TASKS[0]][0][1].config
    versions, horizon = config["versions"], config["settings"]["optimizer"]["horizon"]
    sections = "\n".join(f"## {task}\n\n{_section(each)}" for task, each in done.items())
    commands = "\n    ".join(entry.command() for each in done.values() for entry, _ in each)
    return f"""# How noisy is one stream?

Made by `make variance` with rtrrl {versions["rtrrl"]}, jax {versions["jax"]}, Python
{versions["python"]}; do not edit.

An online agent changes its weights after every step, by what one stream has just taught. A batched
one takes the mean over N streams first. Were the streams independent and the agents equally far,
the variance of that mean would be 1/N of one stream's. Here it is measured, for the default agent
with {_listed(STREAMS)} streams that share its weights. Each makes {STEPS:,} updates, so N streams
see N times as much of the world.

*Gradient variance* is tr Cov G: the mean squared distance of the ascent direction G = δ e + η_H ∇H
from its mean, over about the last {horizon:,} updates. With several streams G is the mean over
them, as the optimizer gets it. *Update norm* is the root mean square of ‖Δθ‖ over the same updates,
after the optimizer. *Return* is that of the frozen agent. All are medians over the seeds
{SEEDS[0]} … {SEEDS[-1]}; *to one stream* is the ratio to one stream's median at the same moment.

![gradient variance and update norm over training](figures/variance.png)

{sections}
## How to read it

- More than 1/N is left where streams are not independent. They begin together, and where episodes
  are equally long they stay in step: what depends on the time in the episode is not averaged out.
- The agents live different lives, and what they have become by the same moment, weights and scale
  of reward, sets the size of their gradients too. The return says how far each has come. So less
  than 1/N can be left as well.
- Adam divides by the size of the gradients it has seen, except where they are as small as its ε. So
  the update norm need not fall as the gradient's variance does.

## To repeat a run

    {commands}
"""


def _section(done: Done) -> str:
    """What the last row comes to in a sentence, and the table."""
    runs = {entry.num_envs: run for entry, run in done}
    alone = {name: _at_moments(runs[1], name) for name in ("gradient_variance", "update_norm")}
    rows, ends = [], []
    for num_envs, run in runs.items():
        returns = _at_moments(run, "evaluation")
        columns = {name: _at_moments(run, name) for name in alone}
        ratios = {name: columns[name] / alone[name] for name in alone}
        for i, moment in enumerate(MOMENTS):
            cells = [str(num_envs), f"{moment} %", shown(returns[i])]
            cells += [f"{columns['gradient_variance'][i]:.3g}"]
            cells += [f"{ratios['gradient_variance'][i]:.2g}", f"{1 / streams:.2g}"]
            cells += [f"{columns['update_norm'][i]:.2g}", f"{ratios['update_norm'][i]:.2g}"]
            rows.append(cells)
        if num_envs > 1:
            times = 1 / ratios["gradient_variance"]
            ends.append(f"{_span(times)} times that of {streams} streams")
    said = f"One stream's gradient variance is {' and '.join(ends)} at these moments."
    return f"{said}\n\n{markdown(COLUMNS, rows)}"


def _at_moments(run: Run, column: str) -> Float[np.ndarray, " moments"]:
    """The median over seeds of a column at each of the `MOMENTS`."""
    wanted = [moment * STEPS // 100 for moment in MOMENTS]
    values = {step: [row[column] for row in run.metrics if row["step"] == step] for step in wanted}
    return np.array([np.median(values[step]) for step in wanted])


def _span(values: Float[np.ndarray, " moments"]) -> str:
    return f"{shown(values.min())} to {shown(values.max())}"


def _listed(numbers: Sequence[int]) -> str:
    *others, last = (str(number) for number in numbers)
    return f"{', '.join(others)} and {last}"


if __name__ == "__main__":
    main()
