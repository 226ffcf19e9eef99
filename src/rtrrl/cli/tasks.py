"""`rtrrl tasks`: what can be trained on."""

import dataclasses
from collections.abc import Sequence

from rich.console import Console
from rich.padding import Padding
from rich.text import Text

from rtrrl.cli.parsing import Parser, add_json, print_json
from rtrrl.environments import TaskInfo, make, tasks
from rtrrl.errors import RtrrlError


def run(args: Sequence[str]) -> int:
    """Prints the catalogue, with the spaces of each example."""
    parser = Parser("tasks", "List the tasks: what is seen, what is done, what is hidden.")
    parser.add_argument(
        "part", metavar="PART", nargs="?", default="", help="only names or backends with this in it"
    )
    add_json(parser)
    given = parser.parse(args)
    part = given.part.lower()
    rows = []
    for info in tasks():
        if part not in info.name.lower() and part not in info.backend:
            continue
        facts = {f.name: getattr(info, f.name) for f in dataclasses.fields(info)}
        missing = info.extra is not None and not info.extra.installed
        facts["needs"] = info.extra.command if missing and info.extra else None
        rows.append(facts | _spaces(info, missing))
        del rows[-1]["extra"]
    if not rows:
        raise RtrrlError(f"no task and no backend has '{given.part}' in its name; see rtrrl tasks")
    if given.json:
        print_json(rows)
    else:
        _show(rows)
    return 0


def _spaces(info: TaskInfo, missing: bool) -> dict[str, str | None]:
    """Of the example; unknown where its packages are not there."""
    if missing:
        return {"observation": None, "action": None}
    world = make(info.example)
    return {"observation": str(world.observation_space), "action": str(world.action_space)}


def _show(rows: list[dict]) -> None:
    """Backend by backend, a few lines a task."""
    console = Console(highlight=False)
    backend = None
    for row in rows:
        if row["backend"] != backend:
            backend = row["backend"]
            console.rule(backend, align="left")
        name = Text(row["name"], style="bold")
        if row["example"] != row["name"]:
            name.append(f", as {row['example']}", style="not bold")
        if row["needs"] is None:
            name.append(f"   {row['observation']} → {row['action']}", style="not bold dim")
        console.print(name)
        hidden = "" if row["hidden_size"] == "nothing" else f"hidden: {row['hidden']}; "
        for text, style in (
            (row["description"], ""),
            (hidden + row["ends"], "dim"),
            (row["needs"] and f"not installed: {row['needs']}", "yellow"),
        ):
            if text:
                console.print(Padding(Text(text, style=style), (0, 0, 0, 4)))
