"""`rtrrl tasks`: what can be trained on."""

import dataclasses
from collections.abc import Sequence

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from rtrrl.cli.parsing import Parser, add_json, print_json
from rtrrl.environments import make, tasks


def run(args: Sequence[str]) -> int:
    """Prints the catalogue, with the spaces of each example."""
    parser = Parser("tasks", "List the tasks: what is seen, what is done, what is hidden.")
    add_json(parser)
    given = parser.parse(args)
    rows = []
    for info in tasks():
        world = make(info.example)
        spaces = {"observation": str(world.observation_space), "action": str(world.action_space)}
        rows.append(dataclasses.asdict(info) | spaces)
    if given.json:
        print_json(rows)
    else:
        Console().print(_table(rows))
    return 0


def _table(rows: list[dict]) -> Table:
    table = Table(box=SIMPLE_HEAD)
    table.add_column("task\nsees → does", no_wrap=True)
    table.add_column("what it is, what is hidden, how an episode ends")
    table.add_column("from")
    for row in rows:
        name = Text(row["name"], style="bold")
        if row["example"] != row["name"]:
            name.append(f"\nas {row['example']}", style="not bold")
        name.append(f"\n{row['observation']} → {row['action']}", style="not bold dim")
        facts = Text(row["description"])
        hidden = "" if row["hidden"] == "nothing" else f"hidden: {row['hidden']}\n"
        facts.append(f"\n{hidden}{row['ends']}", style="dim")
        table.add_row(name, facts, row["backend"], end_section=True)
    return table
