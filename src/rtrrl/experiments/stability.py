"""What makes streaming recurrent learning keep what it learns: targets, and single changes.

    python -m rtrrl.experiments.stability                  # train what is missing, update the page
    python -m rtrrl.experiments.stability targets --tasks Acrobot       # train these runs alone
    python -m rtrrl.experiments.stability variants --only "λ = 0.9" "ObGD"
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
from rtrrl.experiments.stability_tables import (
    Runs,
    missed_table,
    paper_table,
    target_table,
    variant_intervals,
    variant_table,
)
from rtrrl.experiments.suite import Entry
from rtrrl.experiments.targets import MISSED, TARGETS, TRIALS, Target
from rtrrl.experiments.variants import (
    CANDIDATES,
    PAPER_VARIANTS,
    REFERENCE,
    STABLE,
    VARIANTS,
    Variant,
)
from rtrrl.utils.files import write_atomic
from rtrrl.viz.curves import plot
from rtrrl.viz.intervals import plot_intervals

FOLDER = Path("runs/stability")
PAGE = Path("docs/stability.md")
FIGURES = Path("docs/figures")

PARTS: dict[str, tuple[Sequence[Variant], Sequence[Target]]] = {
    "targets": ((REFERENCE,), TARGETS),
    "paper": (PAPER_VARIANTS, TARGETS),
    "variants": ((REFERENCE, *VARIANTS), TRIALS),
    "missed": ((REFERENCE, *CANDIDATES), MISSED),
}


def main() -> None:
    """Train the selected runs that are missing; without a selected part, update the page."""
    runs = list(all_runs())
    tasks = list(dict.fromkeys(target.task for *_, target in runs))
    names = list(dict.fromkeys(variant.name for _, variant, _ in runs))
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("part", nargs="?", choices=(*PARTS, "page"))
    for flag, choices, metavar, text in (
        ("--tasks", tasks, "TASK", "these tasks alone"),
        ("--only", names, "NAME", "these agents or variants alone"),
    ):
        parser.add_argument(
            flag, nargs="+", choices=choices, default=choices, metavar=metavar, help=text
        )
    args = parser.parse_args()
    for part, variant, target in runs:
        if args.part in (None, part) and target.task in args.tasks and variant.name in args.only:
            train_once(target.entry(variant), FOLDER / part)
    if args.part in (None, "page"):
        update_page(load_runs())
        print(f"written: {PAGE} and {FIGURES}/stability-*.png")


def all_runs() -> Iterator[tuple[str, Variant, Target]]:
    """Part, variant and target of every run of the study."""
    for part, (variants, targets) in PARTS.items():
        for variant, target in itertools.product(variants, targets):
            if variant.continuous in (None, target.continuous):
                yield part, variant, target


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
    for part, variant, target in all_runs():
        if (run := target.entry(variant).load(FOLDER / part)) is not None:
            runs[part][variant.name, target.task] = run
    return runs


def update_page(runs: dict[str, Runs]) -> None:
    """Write the tables between the page's markers, and draw its figures."""
    tables = {
        "targets": target_table(REFERENCE, runs["targets"]),
        "paper": paper_table(runs["paper"]),
        "stable": target_table(STABLE, runs["paper"]),
        "variants": variant_table(runs["variants"]),
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
    plot_intervals(variant_intervals(runs["variants"]), FIGURES / "stability-variants.png")


if __name__ == "__main__":
    main()
