"""Seconds until `rtrrl` prints its help, and until the first learning step.

    python benchmarks/startup.py [--quick] [--json PATH]

Every process is timed from its start to its end, once in each repeat; a number is a median.
Training ends after the first slice of the compiled loop (256 steps, a few milliseconds), with its
programs in the compilation cache. Importing jax and the environment's package cannot be avoided;
the target is for the time beyond that.
"""

import os
import statistics
import subprocess
import sys
import tempfile
import time
from typing import Any

from output import VERDICT, options, table, write_json
from rich.console import Console

TASKS = ("CartPole-pos", "MemoryChain-16")

HELP_SECONDS, FIRST_STEP_SECONDS = 0.4, 2.0

IMPORTS = "import os, jax, gymnax; os._exit(0)"
"""The packages that both tasks need."""

FIRST_STEP = """
import os, sys
import rtrrl.cli

rtrrl.cli._configure()  # before training imports JAX, as the command does
from rtrrl.training.runners import ThreadRunner

advance = ThreadRunner.advance

def advance_and_exit(runner, states, count):
    states = advance(runner, states, count)
    if count:
        os._exit(0)
    return states

ThreadRunner.advance = advance_and_exit
sys.exit(f"no step was taken: {rtrrl.cli.main(sys.argv[1:])}")
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


def records(repeats: int = 7, tasks: tuple[str, ...] = TASKS) -> list[dict[str, Any]]:
    """One record for the help, one a task; `floor` is the imports, `cold` with an empty cache."""
    processes = {"help": ("-m", "rtrrl", "--help"), "imports": ("-c", IMPORTS)}
    for task in tasks:
        processes[task] = ("-c", FIRST_STEP, "train", task, "--out", "run", "--overwrite")
    with tempfile.TemporaryDirectory() as folder:
        cold = {name: seconds(folder, *process) for name, process in processes.items()}
        took = {name: [] for name in processes}
        for _ in range(repeats):
            for name, process in processes.items():
                took[name].append(seconds(folder, *process))
    found = [record("rtrrl --help", statistics.median(took["help"]), None, HELP_SECONDS)]
    imports = statistics.median(took["imports"])
    for task in tasks:
        pairs = zip(took[task], took["imports"], strict=True)
        beyond = statistics.median(whole - least for whole, least in pairs)
        row = record("first step", beyond, imports, FIRST_STEP_SECONDS)
        found.append(row | {"environment": task, "cold": cold[task] - imports})
    return found


def record(row: str, value: float, floor: float | None, limit: float) -> dict[str, Any]:
    """A number of seconds beside the most that it may be."""
    against = "" if floor is None else "imports"
    verdict = {"target": f"≤ {limit} s", "passed": value <= limit}
    return {"row": row, "value": value, "floor": floor, "against": against, "unit": "s"} | verdict


def line(found: dict[str, Any]) -> list[str]:
    """The cells of a record."""
    numbers = (found["value"], found["floor"], found.get("cold"))
    return [
        found["row"],
        found.get("environment", ""),
        found["target"],
        *("" if number is None else f"{number:.2f}" for number in numbers),
        VERDICT[found["passed"]],
    ]


def main() -> None:
    arguments = options(__doc__)
    found = records(1, TASKS[:1]) if arguments.quick else records()
    columns = ("", "environment", "target", "beyond", "imports", "cold", "")
    caption = "beyond: beyond the imports; cold: the same with an empty cache"
    Console().print(table("Startup, seconds", columns, map(line, found), caption))
    write_json(arguments.json, rows=found)


if __name__ == "__main__":
    main()
