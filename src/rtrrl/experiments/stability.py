"""What makes streaming recurrent learning keep what it learns: targets, and single changes.

    python -m rtrrl.experiments.stability                  # train what is missing, update the page
    python -m rtrrl.experiments.stability targets --tasks Acrobot       # train these runs alone
    python -m rtrrl.experiments.stability levers --only "λ = 0.9" "ObGD"
    python -m rtrrl.experiments.stability page             # train nothing, update the page

Runs are kept in runs/stability: a finished one is read, an interrupted one is resumed. In
docs/stability.md only the tables between markers are generated. A single part does not update the
page, since runs that are missing on this machine would be removed from it.
"""

import argparse
import itertools
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from rtrrl.errors import NonFiniteError
from rtrrl.experiments.levers import CANDIDATES, LEVERS, PAPER_LEVERS, REFERENCE, STABLE, Lever
from rtrrl.experiments.stability_tables import (
    Runs,
    lever_intervals,
    lever_table,
    missed_table,
    paper_table,
    target_table,
)
from rtrrl.experiments.suite import Entry
from rtrrl.experiments.targets import MISSED, TARGETS, TRIALS, Target
from rtrrl.utils.files import write_atomic
from rtrrl.viz.curves import plot, plot_intervals

FOLDER = Path("runs/stability")
PAGE = Path("docs/stability.md")
FIGURES = Path("docs/figures")

PARTS: dict[str, tuple[Sequence[Lever], Sequence[Target]]] = {
    "targets": ((REFERENCE,), TARGETS),
    "paper": (PAPER_LEVERS, TARGETS),
    "levers": ((REFERENCE, *LEVERS), TRIALS),
    "missed": ((REFERENCE, *CANDIDATES), MISSED),
}


def main() -> None:
    """Train the selected runs that are missing; without a selected part, update the page."""
    runs = list(all_runs())
    tasks = list(dict.fromkeys(target.task for *_, target in runs))
    names = list(dict.fromkeys(lever.name for _, lever, _ in runs))
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("part", nargs="?", choices=(*PARTS, "page"))
    for flag, choices, metavar, text in (
        ("--tasks", tasks, "TASK", "these tasks alone"),
        ("--only", names, "NAME", "these agents or levers alone"),
    ):
        parser.add_argument(
            flag, nargs="+", choices=choices, default=choices, metavar=metavar, help=text
        )
    args = parser.parse_args()
    for part, lever, target in runs:
        if args.part in (None, part) and target.task in args.tasks and lever.name in args.only:
            train_once(target.entry(lever), FOLDER / part)
    if args.part in (None, "page"):
        update_page(load_runs())
        print(f"written: {PAGE} and {FIGURES}/stability-*.png")


def all_runs() -> Iterator[tuple[str, Lever, Target]]:
    """Part, lever and target of every run of the study."""
    for part, (levers, targets) in PARTS.items():
        for lever, target in itertools.product(levers, targets):
            if lever.continuous in (None, target.continuous):
                yield part, lever, target


def train_once(entry: Entry, folder: Path) -> None:
    """Train what has neither finished nor diverged."""
    if entry.load(folder) is None:
        try:
            entry.run(folder)
        except NonFiniteError as error:
            print(f"{entry.task}: {error}")


def load_runs() -> dict[str, Runs]:
    """The finished and diverged runs of every part."""
    runs: dict[str, Runs] = {part: {} for part in PARTS}
    for part, lever, target in all_runs():
        if (run := target.entry(lever).load(FOLDER / part)) is not None:
            runs[part][lever.name, target.task] = run
    return runs


def update_page(runs: dict[str, Runs]) -> None:
    """Write the tables between the page's markers, and draw its figures."""
    tables = {
        "targets": target_table(REFERENCE, runs["targets"]),
        "paper": paper_table(runs["paper"]),
        "stable": target_table(STABLE, runs["paper"]),
        "levers": lever_table(runs["levers"]),
        "missed": missed_table(runs["missed"]),
    }
    page = PAGE.read_text()
    for name, table in tables.items():
        page, count = re.subn(
            rf"(<!-- {name} -->\n).*?(<!-- end -->)",
            lambda found, table=table: f"{found[1]}\n{table}\n{found[2]}",
            page,
            flags=re.DOTALL,
        )
        assert count == 1, f"{PAGE} lacks the marker <!-- {name} -->"
    write_atomic(PAGE, page.encode())
    plot(list(runs["targets"].values()), FIGURES / "stability-default.png")
    plot_intervals(lever_intervals(runs["levers"]), FIGURES / "stability-levers.png")


if __name__ == "__main__":
    main()
