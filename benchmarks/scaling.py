"""Time and memory of a step against the number of units, of seeds, and the length of a window.

    python benchmarks/scaling.py [--quick] [--json PATH]

Every point is written as soon as it is measured; what was measured on the same machine with the
same versions is not measured again.
"""

import argparse
import functools
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import floor
import numpy as np
from rich.console import Console
from subjects import AGENTS, TASKS, c_row, live_row, paper, truncated
from timing import QUICK, Effort, Program, Row, about, interleave

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
"""How time and memory of one agent's step should grow, by study and series."""


class Point(NamedTuple):
    """One thing to measure: `prepare` makes the row and tells the bytes it holds."""

    study: str
    series: str
    x: int
    prepare: Callable[[int], tuple[Row, int]]


def points(quick: bool) -> list[Point]:
    """All of them, the small ones first."""
    made = []
    for series, agent in AGENTS.items():
        sizes = DENSE_SIZES if "dense" in series else SIZES
        made += _series(HIDDEN, series, sizes, functools.partial(_of_size, agent))
    if floor.compiler():
        made += _series(HIDDEN, "C loop", SIZES, _c_loop)
    for series in ("CT-RNN + RFLO", "RTU + diagonal RTRL"):
        made += _series(POPULATION, series, SEEDS, functools.partial(_of_many, AGENTS[series]))
    made += _series(WINDOW, "CT-RNN + TBPTT", WINDOWS, _of_window)
    if quick:
        return [p for p in made if p[:3] in QUICK_POINTS]
    return sorted(made, key=lambda point: point.x)


QUICK_POINTS = ((HIDDEN, "C loop", 8), (HIDDEN, "RTU + diagonal RTRL", 32))


def _series(study: str, series: str, sizes: Sequence[int], prepare: Callable) -> list[Point]:
    return [Point(study, series, x, prepare) for x in sizes]


def _of_size(agent: Callable, hidden: int) -> tuple[Row, int]:
    return _living(live_row("", agent(TASK, hidden), TASK))


def _of_many(agent: Callable, seeds: int) -> tuple[Row, int]:
    return _living(live_row("", agent(TASK), TASK, seeds))


def _of_window(window: int) -> tuple[Row, int]:
    return _living(live_row("", truncated(TASK, window), TASK))


def _c_loop(hidden: int) -> tuple[Row, int]:
    row = c_row(paper(TASK, hidden))
    return row, row.carry.nbytes


def _living(row: Row) -> tuple[Row, int]:
    assert isinstance(row.run, Program)
    return row, row.run.bytes


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
    """What was measured here before."""
    if path is None or not path.exists():
        return []
    found = json.loads(path.read_text())
    return found["points"] if found["about"] == about() else []


def write(path: Path | None, points: list[dict[str, Any]]) -> None:
    """One point a line."""
    if path is None:
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = ",\n".join(f"    {json.dumps(point)}" for point in points)
    path.write_text(f'{{\n  "about": {json.dumps(about())},\n  "points": [\n{lines}\n  ]\n}}\n')


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="two points: does it run at all?")
    parser.add_argument("--json", type=Path, metavar="PATH", help=f"instead of {PATH}")
    options = parser.parse_args()
    path = options.json or (None if options.quick else PATH)
    console, done = Console(), kept(path)
    known = {(point["study"], point["series"], point["x"]) for point in done}
    for point in points(options.quick):
        if (point.study, point.series, point.x) in known:
            continue
        found = measured(point, QUICK if options.quick else EFFORT)
        done.append(found)
        write(path, done)
        cost = f"{found['us']:,.2f} µs, {found['bytes']:,} bytes"
        console.print(f"{point.series}, {point.x} {point.study}: {cost}")


if __name__ == "__main__":
    main()
