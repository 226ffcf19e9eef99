"""`make demo`: two agents learn two tasks in a few minutes; prints a table and draws a figure."""

import shutil
from collections.abc import Sequence
from pathlib import Path

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from rtrrl.experiments.suite import COLUMNS, Entry, table_row
from rtrrl.runs.run import Run
from rtrrl.viz import plot

FOLDER = Path("runs/demo")
FIGURE = FOLDER / "learning_curves.png"

ENTRIES = [
    Entry(task, agent, steps=steps, seeds=range(5))
    for task, steps in (("MemoryChain-16", 200_000), ("CartPole-vel", 400_000))
    for agent in ("default", "paper")
]


def main() -> None:
    """Train all runs anew, show the table and write the figure."""
    console = Console()
    shutil.rmtree(FOLDER, ignore_errors=True)
    runs = [entry.run(FOLDER) for entry in ENTRIES]
    console.print(table(runs))
    console.print("best: the highest of 50 evaluations; final: the mean over the last five.")
    plot(runs, FIGURE)
    console.print(f"The learning curves are in [bold]{FIGURE}[/bold], each run in a folder there.")


def table(runs: Sequence[Run]) -> Table:
    """Best and final scores, within 80 columns."""
    result = Table(title="evaluation return: median over 5 seeds", box=SIMPLE_HEAD, pad_edge=False)
    shown = [index for index, column in enumerate(COLUMNS) if column != "seeds"]
    for index in shown:
        justify = "left" if COLUMNS[index] in ("task", "agent") else "right"
        result.add_column(COLUMNS[index], justify=justify, no_wrap=True)
    for entry, run in zip(ENTRIES, runs, strict=True):
        cells = table_row(entry, run)
        result.add_row(*[cells[index] for index in shown])
    return result


if __name__ == "__main__":
    main()
