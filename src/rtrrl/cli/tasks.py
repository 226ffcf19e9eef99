"""`rtrrl tasks`: list the tasks."""

import dataclasses
from collections.abc import Sequence

from rich.console import Console
from rich.padding import Padding
from rich.text import Text

from rtrrl.cli.parsing import Parser, add_common, print_json
from rtrrl.environments import make, tasks
from rtrrl.errors import RtrrlError


def run(args: Sequence[str]) -> int:
    """Print every task, with the spaces of its example."""
    parser = Parser(
        "tasks", "List the tasks: observations, actions, what is hidden, how episodes end."
    )
    parser.add_argument(
        "part",
        metavar="PART",
        nargs="?",
        default="",
        help="list only names or backends that contain it",
    )
    add_common(parser)
    given = parser.parse(args)
    part = given.part.lower()
    rows = []
    for info in tasks():
        if part not in info.name.lower() and part not in info.backend:
            continue
        facts = {f.name: getattr(info, f.name) for f in dataclasses.fields(info)}
        extra = facts.pop("extra")
        facts["needs"] = extra.command if extra and not extra.installed else None
        rows.append(facts | _spaces(info.example, made=facts["needs"] is None))
    if not rows:
        raise RtrrlError(f"no task and no backend has '{given.part}' in its name; see rtrrl tasks")
    if given.json:
        print_json(rows)
    else:
        _show(rows)
    return 0


def _spaces(example: str, made: bool) -> dict[str, str | None]:
    """Of the environment, or why it cannot be made; unknown where packages are missing."""
    spaces: dict[str, str | None] = {"observation": None, "action": None, "error": None}
    if not made:
        return spaces
    try:
        environment = make(example)
    except RtrrlError as error:  # of a factory of the user's, or of another package
        return spaces | {"error": str(error)}
    observation, action = environment.observation_space, environment.action_space
    return spaces | {"observation": str(observation), "action": str(action)}


def _show(rows: list[dict]) -> None:
    """Backend by backend, a few lines per task."""
    console = Console(highlight=False)
    backend = None
    for row in rows:
        if row["backend"] != backend:
            backend = row["backend"]
            console.rule(backend, align="left")
        name = Text(row["name"], style="bold")
        if row["example"] != row["name"]:
            name.append(f", as {row['example']}", style="not bold")
        if row["observation"] is not None:
            name.append(f"   {row['observation']} → {row['action']}", style="not bold dim")
        console.print(name)
        hidden = "" if row["hidden"] == "nothing" else f"hidden: {row['hidden']}; "
        for text, style in (
            (row["description"], ""),
            (hidden + row["ends"], "dim"),
            (row["needs"] and f"not installed: {row['needs']}", "yellow"),
            (row["error"], "yellow"),
        ):
            if text:
                console.print(Padding(Text(text, style=style), (0, 0, 0, 4)))
