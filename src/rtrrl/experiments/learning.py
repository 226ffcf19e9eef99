"""`make learn`: the learning targets, written into docs/results.md.

The runs lie in runs/learning; a finished one is read, an interrupted one goes on.
"""

import dataclasses
import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from rtrrl.experiments import demo, systems
from rtrrl.experiments.suite import COLUMNS, Entry, markdown, row, shown
from rtrrl.runs.run import Run
from rtrrl.utils.files import write_atomic
from rtrrl.viz.curves import learning_curve

FOLDER = Path("runs/learning")
PAGE = Path("docs/results.md")
FIGURES = Path("docs/figures")

SEEDS = range(8)
DEFAULT = [
    Entry("MemoryChain-32", "default", 500_000, SEEDS, target=0.95, needed=7),
    Entry("MemoryChain-64", "default", 1_000_000, SEEDS, target=0.9, needed=6),
]
PAPER = [
    Entry(task, "paper", 1_000_000, SEEDS)
    for task in ("MemoryChain-4", "MemoryChain-8", "MemoryChain-16", "DeepSea-8", "DelayedRecall-5")
]
UNCLIPPED = [dataclasses.replace(entry, changes={"optimizer.clip": math.inf}) for entry in PAPER]
PUBLISHED = {
    "MemoryChain-4": (1.00, 0.00),
    "MemoryChain-8": (1.00, 0.00),
    "MemoryChain-16": (1.00, 0.00),
    "DeepSea-8": (0.99, 0.54),
}
"""Table 2 of the paper, RFLO CT-RNN: median and standard deviation of the best over 5 seeds."""


def chance(entry: Entry) -> Entry:
    """The random agent under the same protocol; it does not learn, so a short run tells."""
    return Entry(entry.task, "random", 50_000, entry.seeds)


def main() -> None:
    """Runs what is missing, then writes page and figures."""
    default, paper, unclipped = (
        [(entry, entry.run(FOLDER)) for entry in each] for each in (DEFAULT, PAPER, UNCLIPPED)
    )
    bases = [(chance(entry), chance(entry).run(FOLDER)) for entry in DEFAULT + PAPER]
    FIGURES.mkdir(parents=True, exist_ok=True)
    learning_curve([entry.run(demo.FOLDER) for entry in demo.ENTRIES], FIGURES / "demo.png")
    learning_curve([run for _, run in default], FIGURES / "default.png")
    learning_curve([run for _, run in paper + unclipped], FIGURES / "paper.png")
    others = systems.sections(FOLDER)
    write_atomic(PAGE, page(default, paper, unclipped, bases, others).encode())
    print(f"written: {PAGE} and {FIGURES}/")


Done = Sequence[tuple[Entry, Run]]


def page(default: Done, paper: Done, unclipped: Done, bases: Done, others: str) -> str:
    """docs/results.md; `others` is what systems.py has to say."""
    versions = default[0][1].config["versions"]
    return f"""# What the agents learn

Made by `make learn` with rtrrl {versions["rtrrl"]}, jax {versions["jax"]}, Python
{versions["python"]}; do not edit. A score is the mean return of 10 whole episodes of the frozen
agent, its actions sampled. *best* is the highest of the 50 evaluations of a run, which is what the
paper reports; *final* is the mean over the last tenth of them. Best and final are medians over the
seeds. Seeds are 0 … 7, and evaluations 50 of 10 episodes, unless it says otherwise. A best of noise
flatters: compare with the rows of the random agent.

## The default agent keeps what it learns

{systems.targets(default)}
![learning curves of the default agent](figures/default.png)

## The paper's agent, as published

CT-RNN, RFLO, random feedback and the settings of the paper's appendix, which clip the gradient's
norm at 1. Many seeds reach what the paper reports as best; many do not hold it. DelayedRecall-5 is
not in the paper: a cue, five steps of nothing, then the answer.

{_published(paper)}
The same agent without the clipping of the gradient's norm at 1:

{_published(unclipped)}
![learning curves of the paper's agent](figures/paper.png)

## Chance: the random agent under the same protocol

{markdown(COLUMNS, [row(*each) for each in bases])}
{others}
## To repeat a row

    {_commands([*(entry for entry, _ in [*default, *paper, *unclipped, *bases]), *systems.ALL])}
"""


def _published(done: Done) -> str:
    columns = (*COLUMNS, "best of each seed", "the paper's best", "median best reaches it")
    rows = []
    for entry, run in done:
        each = " ".join(shown(value) for value in np.sort(run.best)[::-1])
        verdict = ["—", "—"]
        if entry.task in PUBLISHED:
            median, deviation = PUBLISHED[entry.task]
            reached = round(float(np.median(run.best)), 2) >= median
            verdict = [f"{median:.2f}±{deviation:.2f}", "yes" if reached else "no"]
        rows.append([*row(entry, run), each, *verdict])
    return markdown(columns, rows)


def _commands(entries: Sequence[Entry]) -> str:
    return "\n    ".join(dict.fromkeys(entry.command() for entry in entries))


if __name__ == "__main__":
    main()
