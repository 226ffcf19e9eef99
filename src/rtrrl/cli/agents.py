"""`rtrrl agents`: list the named agents."""

from collections.abc import Sequence

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from rtrrl.agents.registry import AGENTS, describe_agent
from rtrrl.cli.parsing import Parser, add_common, print_json


def run(args: Sequence[str]) -> int:
    """Print names and descriptions."""
    parser = Parser("agents", "List the named agents; rtrrl train TASK --agent NAME trains one.")
    add_common(parser)
    given = parser.parse(args)
    rows = [{"name": name, "description": describe_agent(name)} for name in AGENTS]
    if given.json:
        print_json(rows)
        return 0
    table = Table(box=SIMPLE_HEAD)
    table.add_column("agent", no_wrap=True, style="bold")
    table.add_column("description")
    for row in rows:
        table.add_row(row["name"], row["description"])
    Console().print(table)
    return 0
