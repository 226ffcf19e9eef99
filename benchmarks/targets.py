"""The speed targets: each row compared with the least that its work can cost.

    python benchmarks/targets.py [--quick] [--json PATH]

An agent's row includes its environment and its learning. The floor of a row is compiled in the same
process and timed in turn with it, so that other load on the machine affects both alike; the ratio
is the median over the repeats.
"""

import dense  # first: it limits numpy's threads  # isort: skip
import dataclasses
import functools
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import floor
import startup
from output import VERDICT, options, table, write_json
from rich.console import Console
from timing import FULL, QUICK, Effort, Row, about, interleave, ratio
from workloads import TASKS, c_loop_row, default, environment, paper, training_row

from rtrrl.gradients import RTRL
from rtrrl.runs.config import RunConfig
from rtrrl.training.runners import make_runner


@dataclasses.dataclass(frozen=True)
class Bound:
    """A limit of a ratio."""

    limit: float
    at_least: bool = False

    def met(self, ratio: float) -> bool:
        """Whether the ratio keeps the limit."""
        return ratio >= self.limit if self.at_least else ratio <= self.limit

    def __str__(self) -> str:
        return f"{'≥' if self.at_least else '≤'} {self.limit:.1f} ×"


class Measured(NamedTuple):
    """A number, its floor, and their ratio."""

    value: float
    floor: float
    ratio: float
    against: str
    unit: str = "µs"


class Target(NamedTuple):
    """What is measured on each task, and its limit."""

    what: str
    bound: Bound
    measure: Callable[[str, Effort], Measured]


def targets(quick: bool) -> Iterator[Target]:
    """All targets; without a C compiler, those that need no C loop."""
    n, larger, dense_sizes, seeds, agents = 32, (128, 256, 512, 1024), (32, 64), 64, 4096
    if quick:
        larger, dense_sizes, seeds, agents = (), (8,), 4, 16
    if floor.compiler():
        yield Target(f"CT-RNN + RFLO, n = {n}", Bound(1.8), functools.partial(beside_c_loop, n, 1))
        for large in larger:
            what = f"CT-RNN + RFLO, n = {large}"
            yield Target(what, Bound(1.3), functools.partial(beside_c_loop, large, 1))
    what = f"RTU + diagonal RTRL, n = {n}"
    yield Target(what, Bound(1.3), functools.partial(beside_paper, n))
    for hidden in dense_sizes:
        what = f"dense RTRL, n = {hidden}"
        yield Target(what, Bound(1.8), functools.partial(beside_product, hidden))
    if floor.compiler():
        what = f"{seeds} seeds, per agent"
        yield Target(what, Bound(1.0), functools.partial(beside_c_loop, n, seeds))
    if (os.cpu_count() or 1) > 1:
        what = f"{seeds} seeds on 2 cores"
        yield Target(what, Bound(1.8, at_least=True), functools.partial(two_cores, seeds))
    what = f"memory per agent of {agents:,}"
    yield Target(what, Bound(1.5), functools.partial(memory, agents))


def beside_c_loop(hidden: int, seeds: int, task: str, effort: Effort) -> Measured:
    """The paper's agent, compared with one C loop that does the same arithmetic."""
    agent = paper(task, hidden)
    if seeds > 1:  # in short repeats of few steps each, the fixed cost of a call would show
        effort = dataclasses.replace(effort, seconds=10 * effort.seconds)
    return _beside([c_loop_row(agent)], training_row("paper", agent, task, seeds), effort)


def beside_paper(hidden: int, task: str, effort: Effort) -> Measured:
    """The default agent, compared with the paper's of the same size."""
    base = training_row("our CT-RNN", paper(task, hidden), task)
    return _beside([base], training_row("default", default(task, hidden), task), effort)


def beside_product(hidden: int, task: str, effort: Effort) -> Measured:
    """Dense RTRL, compared with the faster implementation of its product A·J alone."""
    agent = paper(task, hidden, RTRL())
    products = [make(*dense.shape(agent)) for make in (dense.numpy_row, dense.xla_row)]
    return _beside(products, training_row("dense", agent, task), effort)


def _beside(floors: list[Row], row: Row, effort: Effort) -> Measured:
    interleave([*floors, row], effort)
    least = min(floors, key=lambda floor: floor.median)
    return Measured(row.median, least.median, ratio(row, least), least.name)


def two_cores(seeds: int, task: str, effort: Effort) -> Measured:
    """How many times as fast two workers are as one, as `rtrrl train --workers 2`."""
    rows = []
    for workers in (1, 2):
        config = RunConfig(
            agent=paper(task),
            environment=environment(task),
            steps=1,
            seeds=tuple(range(seeds)),
            workers=workers,
        )
        runner = make_runner(config)
        rows.append(Row(f"{workers} workers", runner.init(), runner.advance, seeds))
    interleave(rows, effort)
    one, two = rows
    return Measured(two.median, one.median, ratio(one, two), "1 core")


def memory(agents: int, task: str, _effort: Effort) -> Measured:
    """The larger of what the compiler plans and what a process of its own grows by."""
    command = [sys.executable, str(Path(__file__).with_name("memory.py")), task, str(agents)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    found = json.loads(done.stdout)
    value = max(found["planned"], found["grown"] or 0)
    return Measured(value, found["least"], value / found["least"], "five arrays", "B")


def record(target: Target, task: str, found: Measured) -> dict[str, Any]:
    """One result, as it is written."""
    verdict = {"target": str(target.bound), "passed": target.bound.met(found.ratio)}
    return {"row": target.what, "environment": task} | found._asdict() | verdict


def lines(records: list[dict[str, Any]]) -> list[list[str]]:
    """The cells of each row, its environments side by side."""
    found = []
    for what in dict.fromkeys(record["row"] for record in records):
        here = [record for record in records if record["row"] == what]
        values = " / ".join(measured(record) for record in here)
        floor = here[0]["against"].partition(",")[0]
        verdict = VERDICT[all(record["passed"] for record in here)]
        found.append([what, floor, here[0]["target"], values, verdict])
    return found


def measured(record: dict[str, Any]) -> str:
    """The record's number."""
    if "ratio" in record:
        return f"{record['ratio']:.2f} ×"
    return f"{record['value']:.2f} {record['unit']}"


def main() -> None:
    arguments, console = options(__doc__), Console()
    effort, tasks = (QUICK, TASKS[:1]) if arguments.quick else (FULL, TASKS)
    if not floor.compiler():
        console.print(f"{floor.MISSING}: the rows compared with the C loop are left out")
    records = []
    with console.status("") as status:
        for target in targets(arguments.quick):
            for task in tasks:
                status.update(f"{target.what}, {task}")
                records.append(record(target, task, target.measure(task, effort)))
        if not arguments.quick:
            status.update("startup")
            records += startup.records(repeats=3)
    columns, caption = ("", "floor", "target", "measured", ""), f"measured: {' / '.join(TASKS)}"
    console.print(table("Speed targets", columns, lines(records), caption))
    write_json(arguments.json, about=about(), rows=records)


if __name__ == "__main__":
    main()
