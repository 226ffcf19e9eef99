"""How long one waits for `rtrrl`: for its help, and for the first learning step.

    python benchmarks/startup.py [--quick] [--json PATH]

Every process is timed from outside, from its start to its end, once in each repeat; a number is a
median. Training ends with the first slice of the compiled loop (256 steps, a few milliseconds),
its programs in the compilation cache. What it may not help waiting for is the import of jax and of
the environment's package; the target is on what comes on top.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table

TASKS = {"CartPole-pos": "gymnax", "MemoryChain-16": "gymnax"}
"""What is trained on, and the package it comes from."""

HELP_SECONDS, FIRST_STEP_SECONDS = 0.4, 2.0

IMPORTS = "import os, jax, {package}; os._exit(0)"

FIRST_STEP = """
import os, sys
import rtrrl.cli

rtrrl.cli._settle()  # before training imports JAX, as it would be
from rtrrl.training.train import train

lived = train._lived

def watched(plan, state, count):
    took = lived(plan, state, count)
    if count:
        os._exit(0)
    return took

train._lived = watched
sys.exit(f"no step was lived: {rtrrl.cli.main(sys.argv[1:])}")
"""


def seconds(folder: str, *arguments: str) -> float:
    """The wall time of a Python process, in `folder` and with a cache of its own there."""
    environment = {name: value for name, value in os.environ.items() if "_CACHE_" not in name}
    environment["XDG_CACHE_HOME"] = folder
    command = [sys.executable, *arguments]
    start = time.perf_counter()
    done = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    took = time.perf_counter() - start
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(arguments)} failed: {done.stderr}")
    return took


def records(repeats: int = 7, tasks: tuple[str, ...] = tuple(TASKS)) -> list[dict[str, Any]]:
    """One for the help, one for each task; `floor` is what the imports take, `cold` no cache."""
    processes: dict[str, tuple[str, ...]] = {"help": ("-m", "rtrrl", "--help")}
    for task in tasks:
        processes[f"imports, {task}"] = ("-c", IMPORTS.format(package=TASKS[task]))
        train = ("train", task, "--out", "run", "--overwrite")
        processes[task] = ("-c", FIRST_STEP, *train)
    with tempfile.TemporaryDirectory() as folder:
        cold = {name: seconds(folder, *process) for name, process in processes.items()}
        took = {name: [] for name in processes}
        for _ in range(repeats):
            for name, process in processes.items():
                took[name].append(seconds(folder, *process))
    wait = statistics.median(took["help"])
    found = [record("rtrrl --help", wait, None, HELP_SECONDS)]
    for task in tasks:
        floors = took[f"imports, {task}"]
        pairs = zip(took[task], floors, strict=True)
        more = statistics.median(whole - least for whole, least in pairs)
        row = record("first step", more, statistics.median(floors), FIRST_STEP_SECONDS)
        found.append(row | {"world": task, "cold": cold[task] - statistics.median(floors)})
    return found


def record(row: str, value: float, floor: float | None, limit: float) -> dict[str, Any]:
    """A number of seconds beside the most that it may be."""
    verdict = {"target": f"≤ {limit} s", "passed": value <= limit}
    return {"row": row, "value": value, "floor": floor, "unit": "s"} | verdict


def table(found: list[dict[str, Any]]) -> Table:
    drawn = Table(
        title="Seconds before something happens",
        box=box.SIMPLE_HEAD,
        caption="beyond: on top of the imports; cold: the same with an empty cache",
    )
    for heading in ("", "world", "target", "beyond", "imports", "cold", ""):
        drawn.add_column(heading, no_wrap=True)
    for each in found:
        numbers = (each["value"], each["floor"], each.get("cold"))
        drawn.add_row(
            each["row"],
            each.get("world", ""),
            each["target"],
            *("" if number is None else f"{number:.2f}" for number in numbers),
            "[green]pass" if each["passed"] else "[red]miss",
        )
    return drawn


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="one task, once: does it run at all?")
    parser.add_argument("--json", type=Path, metavar="PATH", help="write the numbers there too")
    options = parser.parse_args()
    found = records(1, tuple(TASKS)[:1]) if options.quick else records()
    Console().print(table(found))
    if options.json:
        options.json.parent.mkdir(parents=True, exist_ok=True)
        options.json.write_text(json.dumps({"rows": found}, indent=2) + "\n")


if __name__ == "__main__":
    main()
