"""The speed targets: each thing beside the least that its work can cost, timed in one run.

    python benchmarks/targets.py [--quick] [--json PATH]

An agent's row includes its world and its learning. The floor of a row is compiled and timed beside
it, in turn with it, so that whatever else the machine does meets both alike; the ratio is the
median over the repeats.
"""

import dense  # first: it limits numpy's threads  # isort: skip
import argparse
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
from rich import box
from rich.console import Console
from rich.table import Table
from subjects import TASKS, c_row, default, live_row, paper
from timing import FULL, QUICK, Effort, Row, about, interleave, ratio

from rtrrl.environments import make
from rtrrl.gradients import RTRL
from rtrrl.runs.config import RunConfig
from rtrrl.training.runners import make_runner


@dataclasses.dataclass(frozen=True)
class Bound:
    """What a ratio has to be."""

    limit: float
    at_least: bool = False

    def met(self, ratio: float) -> bool:
        """Whether it is."""
        return ratio >= self.limit if self.at_least else ratio <= self.limit

    def __str__(self) -> str:
        return f"{'≥' if self.at_least else '≤'} {self.limit:.1f} ×"


class Measured(NamedTuple):
    """A number, its floor, and how they compare."""

    value: float
    floor: float
    ratio: float
    against: str
    unit: str = "µs"


class Target(NamedTuple):
    """What is measured, on each task, and what should come out."""

    what: str
    bound: Bound
    measure: Callable[[str, Effort], Measured]


class Sizes(NamedTuple):
    """How large things are."""

    small: int = 32
    large: tuple[int, ...] = (128, 256, 512, 1024)
    dense: tuple[int, ...] = (32, 64)
    seeds: int = 64
    population: int = 4096


def targets(sizes: Sizes) -> Iterator[Target]:
    """The table."""
    n, seeds, population = sizes.small, sizes.seeds, sizes.population
    if floor.compiler():
        yield Target(f"CT-RNN + RFLO, n = {n}", Bound(1.8), functools.partial(beside_c, n, 1))
        for large in sizes.large:
            what = f"CT-RNN + RFLO, n = {large}"
            yield Target(what, Bound(1.3), functools.partial(beside_c, large, 1))
    what = f"RTU + diagonal RTRL, n = {n}"
    yield Target(what, Bound(1.3), functools.partial(beside_paper, n))
    for hidden in sizes.dense:
        what = f"dense RTRL, n = {hidden}"
        yield Target(what, Bound(1.8), functools.partial(beside_product, hidden))
    if floor.compiler():
        what = f"{seeds} seeds, per agent"
        yield Target(what, Bound(1.0), functools.partial(beside_c, n, seeds))
    if (os.cpu_count() or 1) > 1:
        what = f"{seeds} seeds on 2 cores"
        yield Target(what, Bound(1.8, at_least=True), functools.partial(two_cores, seeds))
    what = f"memory per agent of {population:,}"
    yield Target(what, Bound(1.5), functools.partial(memory, population))


def beside_c(hidden: int, agents: int, task: str, effort: Effort) -> Measured:
    """The paper's agent beside one C loop that does the same arithmetic."""
    agent = paper(task, hidden)
    if agents > 1:  # the fixed cost of a call shows in short repeats of few steps each
        effort = dataclasses.replace(effort, seconds=10 * effort.seconds)
    return _beside([c_row(agent)], live_row("paper", agent, task, agents), effort)


def beside_paper(hidden: int, task: str, effort: Effort) -> Measured:
    """The default agent beside the paper's of the same size."""
    base = live_row("our CT-RNN", paper(task, hidden), task)
    return _beside([base], live_row("default", default(task, hidden), task), effort)


def beside_product(hidden: int, task: str, effort: Effort) -> Measured:
    """Exact dense RTRL beside its product A·J alone, by whoever makes it fastest."""
    agent = paper(task, hidden, RTRL())
    products = [make(*dense.shape(agent)) for make in (dense.numpy_row, dense.xla_row)]
    return _beside(products, live_row("dense", agent, task), effort)


def _beside(floors: list[Row], row: Row, effort: Effort) -> Measured:
    interleave([*floors, row], effort)
    least = min(floors, key=lambda floor: floor.median)
    return Measured(row.median, least.median, ratio(row, least), least.name)


def two_cores(seeds: int, task: str, effort: Effort) -> Measured:
    """How many times as fast two workers are as one, as `rtrrl train --workers 2`."""
    agent, world = paper(task), make(task)
    rows = []
    for count in (1, 2):
        plan = RunConfig(agent, world, 1, tuple(range(seeds)), 1, 1, False, None, 1, count)
        workers = make_runner(plan)
        rows.append(Row(f"{count} workers", workers.births(), workers.advance, seeds))
    interleave(rows, effort)
    one, two = rows
    return Measured(two.median, one.median, ratio(one, two), "1 core")


def memory(agents: int, task: str, effort: Effort) -> Measured:
    """The larger of what the compiler plans and what a process grows by, in its own process."""
    del effort
    command = [sys.executable, str(Path(__file__).with_name("memory.py")), task, str(agents)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    found = json.loads(done.stdout)
    value = max(found["planned"], found["grown"] or 0)
    return Measured(value, found["least"], value / found["least"], "five arrays", "B")


def record(target: Target, world: str, found: Measured) -> dict[str, Any]:
    """One result, as it is written."""
    verdict = {"target": str(target.bound), "passed": target.bound.met(found.ratio)}
    return {"row": target.what, "world": world} | found._asdict() | verdict


def table(records: list[dict[str, Any]]) -> Table:
    """A line for each row, the worlds side by side."""
    drawn = Table(
        title="Speed targets",
        box=box.SIMPLE_HEAD,
        caption=f"measured: {' / '.join(TASKS)}",
    )
    for heading in ("", "floor", "target", "measured", ""):
        drawn.add_column(heading, no_wrap=heading in ("target", "measured"))
    for what in dict.fromkeys(record["row"] for record in records):
        here = [record for record in records if record["row"] == what]
        passed = all(record["passed"] for record in here)
        drawn.add_row(
            what,
            against(here[0]).partition(",")[0],
            str(here[0]["target"]),
            " / ".join(measured(record) for record in here),
            "[green]pass" if passed else "[red]miss",
        )
    return drawn


def against(record: dict[str, Any]) -> str:
    """What the record is compared with."""
    if "against" in record:
        return record["against"]
    return "" if record["floor"] is None else "imports"


def measured(record: dict[str, Any]) -> str:
    """The record's number."""
    if "ratio" in record:
        return f"{record['ratio']:.2f} ×"
    return f"{record['value']:.2f} {record['unit']}"


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="small and few: does it run at all?")
    parser.add_argument("--json", type=Path, metavar="PATH", help="write the numbers there too")
    options = parser.parse_args()
    sizes = Sizes(32, (), (8,), 4, 16) if options.quick else Sizes()
    effort, tasks = (QUICK, TASKS[:1]) if options.quick else (FULL, TASKS)
    console = Console()
    if not floor.compiler():
        console.print("no C compiler (cc) here: the rows beside the C loop are left out")
    records = []
    with console.status("") as status:
        for target in targets(sizes):
            for task in tasks:
                status.update(f"{target.what}, {task}")
                records.append(record(target, task, target.measure(task, effort)))
        if not options.quick:
            status.update("from a cold start")
            records += startup.records(repeats=3)
    console.print(table(records))
    if options.json:
        options.json.parent.mkdir(parents=True, exist_ok=True)
        options.json.write_text(json.dumps({"about": about(), "rows": records}, indent=2) + "\n")


if __name__ == "__main__":
    main()
