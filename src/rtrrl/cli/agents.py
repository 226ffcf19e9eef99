"""`rtrrl agents`: who can be trained."""

from collections.abc import Sequence

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from rtrrl.agents.registry import PRESETS
from rtrrl.cli.parsing import Parser, add_json, print_json


def run(args: Sequence[str]) -> int:
    """Prints the presets, a line each."""
    parser = Parser("agents", "List the named agents; rtrrl train TASK --agent NAME trains one.")
    add_json(parser)
    given = parser.parse(args)
    rows = [{"name": name, "description": each.description} for name, each in PRESETS.items()]
    if given.json:
        print_json(rows)
        return 0
    table = Table(box=SIMPLE_HEAD)
    table.add_column("agent", no_wrap=True, style="bold")
    table.add_column("what it is")
    for row in rows:
        table.add_row(row["name"], row["description"])
    Console().print(table)
    return 0
