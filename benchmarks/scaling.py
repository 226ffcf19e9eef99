"""Time and memory of a step against the number of units, the number of seeds, and the window.

    python benchmarks/scaling.py [--quick] [--json PATH]

Every point is written as soon as it is measured; points of the same machine and versions that the
file already has are not measured again.
"""

import functools
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import floor
import numpy as np
from output import options
from rich.console import Console
from timing import QUICK, Effort, Row, about, interleave, program_of
from workloads import AGENTS, TASKS, c_loop_row, paper, training_row, truncated

PATH = Path("docs/performance/scaling.json")
TASK = TASKS[0]
EFFORT = Effort(7, 0.05)
SIZES = tuple(2**k for k in range(3, 12))
DENSE_SIZES = SIZES[:6]
SEEDS = WINDOWS = tuple(2**k for k in range(9))

HIDDEN, POPULATION, WINDOW = "units", "seeds", "window"

EXPONENTS: dict[tuple[str, str], tuple[int, int]] = {
    (HIDDEN, "C loop"): (2, 2),
    (HIDDEN, "CT-RNN + RFLO"): (2, 2),
    (HIDDEN, "RTU + diagonal RTRL"): (1, 1),
    (HIDDEN, "CT-RNN + SnAp-1"): (2, 2),
    (HIDDEN, "CT-RNN + UORO"): (2, 2),
    (HIDDEN, "CT-RNN + dense RTRL"): (4, 3),
    (POPULATION, "CT-RNN + RFLO"): (0, 0),
    (POPULATION, "RTU + diagonal RTRL"): (0, 0),
    (WINDOW, "CT-RNN + TBPTT"): (1, 1),
}
"""The theoretical exponents of time and memory of one agent's step, by study and series."""


class Point(NamedTuple):
    """One thing to measure; `prepare` returns its row and the bytes that it holds."""

    study: str
    series: str
    x: int
    prepare: Callable[[int], tuple[Row, int]]


QUICK_POINTS = ((HIDDEN, "C loop", 8), (HIDDEN, "RTU + diagonal RTRL", 32))


def points(quick: bool) -> list[Point]:
    """All points, the small ones first."""
    made = []
    for name, agent in AGENTS.items():
        sizes = DENSE_SIZES if "dense" in name else SIZES
        made += [Point(HIDDEN, name, x, functools.partial(_of_size, agent)) for x in sizes]
    if floor.compiler():
        made += [Point(HIDDEN, "C loop", x, _c_loop) for x in SIZES]
    for name in ("CT-RNN + RFLO", "RTU + diagonal RTRL"):
        of_many = functools.partial(_of_many, AGENTS[name])
        made += [Point(POPULATION, name, x, of_many) for x in SEEDS]
    made += [Point(WINDOW, "CT-RNN + TBPTT", x, _of_window) for x in WINDOWS]
    if quick:
        return [point for point in made if point[:3] in QUICK_POINTS]
    return sorted(made, key=lambda point: point.x)


def _of_size(agent: Callable, hidden: int) -> tuple[Row, int]:
    return _with_bytes(training_row("", agent(TASK, hidden), TASK))


def _of_many(agent: Callable, seeds: int) -> tuple[Row, int]:
    return _with_bytes(training_row("", agent(TASK), TASK, seeds))


def _of_window(window: int) -> tuple[Row, int]:
    return _with_bytes(training_row("", truncated(TASK, window), TASK))


def _with_bytes(row: Row) -> tuple[Row, int]:
    return row, program_of(row).bytes


def _c_loop(hidden: int) -> tuple[Row, int]:
    row = c_loop_row(paper(TASK, hidden))
    return row, row.carry.nbytes


def measured(point: Point, effort: Effort) -> dict[str, Any]:
    """Microseconds and bytes of one agent's step."""
    row, held = point.prepare(point.x)
    interleave([row], effort)
    found = {"us": round(row.median, 3), "bytes": held // row.agents}
    return {"study": point.study, "series": point.series, "x": point.x} | found


def exponent(sizes: Sequence[float], values: Sequence[float]) -> float:
    """The slope of the line through the upper half of the points, on logarithmic axes.

    >>> round(exponent([1, 2, 4, 8], [50, 50, 48, 384]), 6)
    3.0
    """
    upper = len(sizes) // 2
    slope, _ = np.polyfit(np.log(sizes[upper:]), np.log(values[upper:]), 1)
    return float(slope)


def curve(points: list[dict], study: str, series: str) -> tuple[list[int], list[float], list[int]]:
    """A series' sizes, microseconds and bytes."""
    here = [p for p in points if (p["study"], p["series"]) == (study, series)]
    here = sorted(here, key=lambda point: point["x"])
    return [p["x"] for p in here], [p["us"] for p in here], [p["bytes"] for p in here]


def kept(path: Path | None) -> list[dict[str, Any]]:
    """The points of the file that were measured on this machine with these versions."""
    if path is None or not path.exists():
        return []
    found = json.loads(path.read_text())
    return found["points"] if found["about"] == about() else []


def write(path: Path | None, points: list[dict[str, Any]]) -> None:
    """Write the points, one a line."""
    if path is None:
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = ",\n".join(f"    {json.dumps(point)}" for point in points)
    path.write_text(f'{{\n  "about": {json.dumps(about())},\n  "points": [\n{lines}\n  ]\n}}\n')


def main() -> None:
    arguments, console = options(__doc__, PATH), Console()
    done = kept(arguments.json)
    known = {(point["study"], point["series"], point["x"]) for point in done}
    for point in points(arguments.quick):
        if point[:3] in known:
            continue
        found = measured(point, QUICK if arguments.quick else EFFORT)
        done.append(found)
        write(arguments.json, done)
        cost = f"{found['us']:,.2f} µs, {found['bytes']:,} bytes"
        console.print(f"{point.series}, {point.x} {point.study}: {cost}")


if __name__ == "__main__":
    main()
