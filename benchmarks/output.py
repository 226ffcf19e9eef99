"""Command-line options, tables and JSON files of the benchmarks."""

import argparse
import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from rich import box
from rich.table import Table

VERDICT = {True: "[green]pass", False: "[red]miss"}


def options(doc: str | None, path: Path | None = None) -> argparse.Namespace:
    """The options `--quick` and `--json`; `path` is where a full run writes without `--json`."""
    parser = argparse.ArgumentParser(description=(doc or "").splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="small sizes: check that it runs")
    place = f"instead of {path}" if path else "write the numbers there too"
    parser.add_argument("--json", type=Path, metavar="PATH", help=place)
    found = parser.parse_args()
    if path and not found.quick:
        found.json = found.json or path
    return found


def write_json(path: Path | None, **numbers: Any) -> None:
    """Write the numbers to `path`, if there is one."""
    if path:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(numbers, indent=2) + "\n")


def table(
    title: str, columns: Sequence[str], rows: Iterable[Sequence[str]], caption: str | None = None
) -> Table:
    """A table for the terminal; the first column is the name of a row."""
    drawn = Table(title=title, box=box.SIMPLE_HEAD, caption=caption)
    for column in columns:
        drawn.add_column(column, no_wrap=True)
    for row in rows:
        drawn.add_row(*row)
    return drawn


def short(value: float) -> str:
    """A number with two decimals below 100, with none above.

    >>> short(3.14159), short(31415.9)
    ('3.14', '31,416')
    """
    return f"{value:,.0f}" if value >= 100 else f"{value:.2f}"
