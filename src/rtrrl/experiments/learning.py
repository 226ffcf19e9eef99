"""`make learn`: the learning targets, written into docs/results.md.

Runs are kept in runs/learning: a finished one is read, an interrupted one is resumed.
"""

import dataclasses
import math
from pathlib import Path

import numpy as np

from rtrrl.experiments import demo, systems
from rtrrl.experiments.suite import (
    COLUMNS,
    Entry,
    Results,
    commands,
    format_scores,
    markdown_table,
    table_row,
)
from rtrrl.utils.files import write_atomic
from rtrrl.viz import plot

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
CHANCE = [Entry(entry.task, "random", 50_000, entry.seeds) for entry in DEFAULT + PAPER]
"""The same protocol; the random agent does not learn, so a short run suffices."""

PUBLISHED = {
    "MemoryChain-4": (1.00, 0.00),
    "MemoryChain-8": (1.00, 0.00),
    "MemoryChain-16": (1.00, 0.00),
    "DeepSea-8": (0.99, 0.54),
}
"""Table 2 of the paper, RFLO CT-RNN: median and standard deviation of the best over 5 seeds."""


def main() -> None:
    """Train what is missing, then write the page and its figures."""
    default, paper, unclipped, chance = (
        [(entry, entry.run(FOLDER)) for entry in entries]
        for entries in (DEFAULT, PAPER, UNCLIPPED, CHANCE)
    )
    FIGURES.mkdir(parents=True, exist_ok=True)
    plot([entry.run(demo.FOLDER) for entry in demo.ENTRIES], FIGURES / "demo.png")
    plot([run for _, run in default], FIGURES / "default.png")
    plot([run for _, run in paper + unclipped], FIGURES / "paper.png")
    text = page(default, paper, unclipped, chance, systems.sections(FOLDER))
    write_atomic(PAGE, text.encode())
    print(f"written: {PAGE} and {FIGURES}/")


def page(
    default: Results, paper: Results, unclipped: Results, chance: Results, sections: str
) -> str:
    """docs/results.md; `sections` is the text of systems.py."""
    versions = default[0][1].config["versions"]
    entries = [entry for entry, _ in (*default, *paper, *unclipped, *chance)]
    return f"""# Learning results

Written by `make learn` with rtrrl {versions["rtrrl"]}, jax {versions["jax"]}, Python
{versions["python"]}; do not edit. A score is the mean return of 10 whole episodes of the frozen
agent with sampled actions. *best* is the highest of the 50 evaluations of a run, as reported in the
paper; *final* is the mean over the last tenth of them. Both are given as medians over the seeds.
Unless stated otherwise, seeds are 0 … 7 and there are 50 evaluations of 10 episodes. The best of 50
noisy evaluations is biased upwards: compare it with the rows of the random agent.

## The default agent

{systems.target_table(default)}
![learning curves of the default agent](figures/default.png)

## The paper's agent, as published

CT-RNN, RFLO, random feedback and the settings of the paper's appendix, which clip the norm of the
gradient at 1. Many seeds reach the best score that the paper reports; many do not keep it.
DelayedRecall-5 is not in the paper: a cue, five steps without information, then the response.

{_published_table(paper)}
The same agent without clipping of the gradient's norm:

{_published_table(unclipped)}
![learning curves of the paper's agent](figures/paper.png)

## Chance: the random agent under the same protocol

{systems.score_table(chance)}
{sections}
## Commands to repeat the runs

{commands([*entries, *systems.ALL])}
"""


def _published_table(results: Results) -> str:
    columns = (*COLUMNS, "best of each seed", "the paper's best", "median best reaches it")
    rows = []
    for entry, run in results:
        published = ["—", "—"]
        if entry.task in PUBLISHED:
            median, deviation = PUBLISHED[entry.task]
            reached = round(float(np.median(run.best)), 2) >= median
            published = [f"{median:.2f}±{deviation:.2f}", "yes" if reached else "no"]
        rows.append([*table_row(entry, run), format_scores(run.best), *published])
    return markdown_table(columns, rows)


if __name__ == "__main__":
    main()
