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
from timing import QUICK, Effort, Row, about, interleave
from workloads import AGENTS, TASKS, c_loop_row, paper, training_row, truncated

from rtrrl.agents import RTRRL

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
    """One thing to measure, and what makes its row."""

    study: str
    series: str
    x: int
    make: Callable[[], Row]


QUICK_POINTS = ((HIDDEN, "C loop", 8), (HIDDEN, "RTU + diagonal RTRL", 32))


def points(quick: bool) -> list[Point]:
    """All points, the small ones first."""
    made = []
    for name, agent in AGENTS.items():
        for units in DENSE_SIZES if "dense" in name else SIZES:
            made.append(Point(HIDDEN, name, units, functools.partial(_row, agent, units)))
    if floor.compiler():
        for units in SIZES:
            c_loop = functools.partial(lambda units: c_loop_row(paper(TASK, units)), units)
            made.append(Point(HIDDEN, "C loop", units, c_loop))
    for name in ("CT-RNN + RFLO", "RTU + diagonal RTRL"):
        for seeds in SEEDS:
            row = functools.partial(_row, AGENTS[name], seeds=seeds)
            made.append(Point(POPULATION, name, seeds, row))
    for window in WINDOWS:
        row = functools.partial(_row, functools.partial(truncated, window=window))
        made.append(Point(WINDOW, "CT-RNN + TBPTT", window, row))
    if quick:
        return [point for point in made if point[:3] in QUICK_POINTS]
    return sorted(made, key=lambda point: point.x)


def _row(agent: Callable[..., RTRRL], units: int = 32, seeds: int = 1) -> Row:
    return training_row("", agent(TASK, units), TASK, seeds)


def measured(point: Point, effort: Effort) -> dict[str, Any]:
    """Microseconds and bytes of one agent's step."""
    row = point.make()
    interleave([row], effort)
    found = {"us": round(row.median, 3), "bytes": row.bytes // row.agents}
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
