"""What makes streaming recurrent learning keep what it learns: the targets, and each lever alone.

    python -m rtrrl.experiments.stability                  # runs what is missing, writes the page
    python -m rtrrl.experiments.stability targets --tasks Acrobot       # runs these alone
    python -m rtrrl.experiments.stability levers --only "λ = 0.9" "ObGD"
    python -m rtrrl.experiments.stability page             # runs nothing, writes the page

A run is done once and lies in runs/stability, whence it is read or goes on if it was interrupted.
docs/stability.md is written by hand but for what stands between its markers. A part alone leaves
it as it is: what has not been run on this machine would be struck out.
"""

import argparse
import itertools
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from rtrrl.errors import NonFiniteError
from rtrrl.experiments.levers import ATTEMPTS, LEVERS, PAPER_LEVERS, REFERENCE, STABLE, Lever
from rtrrl.experiments.stability_tables import (
    Done,
    attempts_table,
    collapse_table,
    lever_intervals,
    lever_table,
    target_table,
)
from rtrrl.experiments.suite import Entry
from rtrrl.experiments.targets import ATTEMPTED, TARGETS, TRIALS, Target
from rtrrl.utils.files import write_atomic
from rtrrl.viz.curves import forest, learning_curve

FOLDER = Path("runs/stability")
PAGE = Path("docs/stability.md")
FIGURES = Path("docs/figures")


def main() -> None:
    """Runs what is asked for and missing; after all parts, writes the page."""
    known = list(everything())
    tasks = list(dict.fromkeys(target.task for *_, target in known))
    names = list(dict.fromkeys(lever.name for _, lever, _ in known))
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("part", nargs="?", choices=(*PARTS, "page"))
    parser.add_argument(
        "--tasks", nargs="+", choices=tasks, default=tasks, metavar="TASK", help="these tasks alone"
    )
    parser.add_argument(
        "--only",
        nargs="+",
        choices=names,
        default=names,
        metavar="NAME",
        help="these agents or levers alone",
    )
    asked = parser.parse_args()
    for part, lever, target in known:
        if asked.part in (None, part) and target.task in asked.tasks and lever.name in asked.only:
            settle(target.entry(lever), FOLDER / part)
    if asked.part in (None, "page"):
        write(ended())
        print(f"written: {PAGE} and {FIGURES}/stability-*.png")


PARTS: dict[str, tuple[Sequence[Lever], Sequence[Target]]] = {
    "targets": ((REFERENCE,), TARGETS),
    "paper": (PAPER_LEVERS, TARGETS),
    "levers": ((REFERENCE, *LEVERS), TRIALS),
    "missed": ((REFERENCE, *ATTEMPTS), ATTEMPTED),
}


def everything() -> Iterator[tuple[str, Lever, Target]]:
    """Every run there is, by the part that it belongs to."""
    for part, (levers, targets) in PARTS.items():
        for lever, target in itertools.product(levers, targets):
            if lever.continuous in (None, target.continuous):
                yield part, lever, target


def settle(entry: Entry, folder: Path) -> None:
    """Runs what has not ended; a setting that diverges has said what there is to know."""
    if entry.ended(folder) is None:
        try:
            entry.run(folder)
        except NonFiniteError as error:
            print(f"{entry.task}: {error}")


def ended() -> dict[str, Done]:
    """The runs of every part that have ended."""
    done: dict[str, Done] = {part: {} for part in PARTS}
    for part, lever, target in everything():
        if (run := target.entry(lever).ended(FOLDER / part)) is not None:
            done[part][lever.name, target.task] = run
    return done


def write(done: dict[str, Done]) -> None:
    """Puts tables into the page, between its markers, and draws its figures."""
    tables = {
        "targets": target_table(REFERENCE, done["targets"]),
        "paper": collapse_table(done["paper"]),
        "stable": target_table(STABLE, done["paper"]),
        "levers": lever_table(done["levers"]),
        "missed": attempts_table(done["missed"]),
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
    curves = [done["targets"][key] for key in done["targets"]]
    learning_curve(curves, FIGURES / "stability-default.png")
    names = [lever.name for lever in (REFERENCE, *LEVERS)]
    forest(lever_intervals(names, done["levers"]), FIGURES / "stability-levers.png")


if __name__ == "__main__":
    main()
