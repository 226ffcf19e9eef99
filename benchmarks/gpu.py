"""What an accelerator does with many agents, with one large one, and with dense RTRL.

    python benchmarks/gpu.py [--quick] [--json PATH]

Runs unattended in less than ten minutes on whatever device JAX finds first. A size that does not
fit is named in one line and left out. The JSON is written after every size.
"""

import argparse
import functools
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import dense
import jax
import jax.numpy as jnp
from memory import least
from rich import box
from rich.console import Console
from rich.table import Table
from subjects import TASKS, live_row, paper
from timing import QUICK, Effort, Program, Row, about, compiled, interleave, ratio

from rtrrl.gradients import RTRL

PATH = Path("docs/performance/gpu.json")
TASK = TASKS[0]
EFFORT = Effort(5, 0.1)
LIMIT_S = 480
"""No size is begun later than this, so that the whole ends within ten minutes."""

SIZES = {
    "population": (1, 8, 64, 512, 4096, 16_384, 65_536),
    "large": (1024, 2048, 4096, 8192),
    "dense": (32, 64, 128, 256),
}
QUICK_SIZES = {"population": (4,), "large": (32,), "dense": (8,)}

COLUMNS = {
    "population": ("agents", "µs a step", "agent-steps a second", "bytes an agent"),
    "large": ("units", "µs a step", "bytes of state", "copying them, µs", "×"),
    "dense": ("units", "µs a step", "A·J alone, µs", "×", "A·J, GFLOP/s"),
}
TITLES = {
    "population": "CT-RNN + RFLO, 32 units, many agents",
    "large": "CT-RNN + RFLO, one large agent, beside a copy of its state",
    "dense": "Dense RTRL beside its product alone",
}


def population(agents: int, effort: Effort) -> dict[str, float]:
    """Many small agents at once."""
    row = live_row("paper", paper(TASK), TASK, agents)
    interleave([row], effort)
    assert isinstance(row.run, Program)
    return {
        "us": row.median * agents,
        "agent_steps_per_second": 1e6 / row.median,
        "bytes_per_agent": row.run.bytes / agents,
    }


def large(hidden: int, effort: Effort) -> dict[str, float]:
    """One agent, beside reading and writing each number of its state once."""
    agent = paper(TASK, hidden)
    held = least(agent)
    floor, row = copy_row(held), live_row("paper", agent, TASK)
    interleave([floor, row], effort)
    return {"us": row.median, "bytes": held, "floor_us": floor.median, "ratio": ratio(row, floor)}


def copy_row(held: int) -> Row:
    """So many bytes read and written."""
    numbers = jnp.zeros(held // 4)

    def loop(numbers: jax.Array, steps: jax.Array) -> jax.Array:
        return jax.lax.fori_loop(0, steps, lambda _, numbers: numbers + 1, numbers)

    return Row("copy", numbers, compiled(loop, numbers))


def exact(hidden: int, effort: Effort) -> dict[str, float]:
    """Dense RTRL, beside A·J on the same device."""
    agent = paper(TASK, hidden, RTRL())
    rows, columns = dense.shape(agent)
    floor, row = dense.xla_row(rows, columns), live_row("dense", agent, TASK)
    interleave([floor, row], effort)
    return {
        "us": row.median,
        "floor_us": floor.median,
        "ratio": ratio(row, floor),
        "gflops": 2 * rows * rows * columns / floor.median / 1e3,
    }


STUDIES: dict[str, Callable[[int, Effort], dict[str, float]]] = {
    "population": population,
    "large": large,
    "dense": exact,
}


def attempt(measure: Callable[[], dict[str, float]], size: str) -> dict[str, Any]:
    """What was measured, or why not, in one line."""
    try:
        return measure()
    except (jax.errors.JaxRuntimeError, MemoryError) as error:
        reason = (str(error) or "out of memory").splitlines()[0][:120]
        return {"error": f"{size} is left out: {reason}"}


def table(study: str, records: list[dict[str, Any]]) -> Table:
    """A line for each size that fitted."""
    drawn = Table(title=TITLES[study], box=box.SIMPLE_HEAD)
    for heading in COLUMNS[study]:
        drawn.add_column(heading, justify="right")
    for cells in lines(study, records):
        drawn.add_row(*cells)
    return drawn


def lines(study: str, records: list[dict[str, Any]]) -> list[list[str]]:
    """The cells of a study's table."""
    here = [r for r in records if r["study"] == study and "error" not in r]
    names = [name for name in (here[0] if here else {}) if name not in ("study", "size")]
    return [[f"{r['size']:,}", *(_number(r[name]) for name in names)] for r in here]


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.2f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="small sizes: does it run at all?")
    parser.add_argument("--json", type=Path, metavar="PATH", help=f"instead of {PATH}")
    options = parser.parse_args()
    sizes, effort = (QUICK_SIZES, QUICK) if options.quick else (SIZES, EFFORT)
    path = options.json or (None if options.quick else PATH)
    console, records, began = Console(), [], time.monotonic()
    console.print(f"{about()['device']}, jax {jax.__version__}")
    for study, measure in STUDIES.items():
        for size in sizes[study]:
            named = f"{study} {size:,}"
            if time.monotonic() - began > LIMIT_S:
                found = {"error": f"{named} is left out: {LIMIT_S} s are over"}
            else:
                found = attempt(functools.partial(measure, size, effort), named)
            console.print(found.get("error", f"{named}: {found.get('us', 0):,.2f} µs"))
            records.append({"study": study, "size": size} | found)
            if path:
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(json.dumps({"about": about(), "rows": records}, indent=2) + "\n")
        console.print(table(study, records))


if __name__ == "__main__":
    main()
