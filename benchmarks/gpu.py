"""Many agents, one large agent, and dense RTRL on an accelerator.

    python benchmarks/gpu.py [--quick] [--json PATH]

Takes less than ten minutes on the first device that JAX finds. A size that does not fit is named
in one line and left out. The JSON file is written after every size.
"""

import functools
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import dense
import jax
import jax.numpy as jnp
from memory import least
from output import options, short, table, write_json
from rich.console import Console
from timing import QUICK, Effort, Row, about, compiled, interleave, ratio
from workloads import TASKS, paper, training_row

from rtrrl.gradients import RTRL

PATH = Path("docs/performance/gpu.json")
TASK = TASKS[0]
EFFORT = Effort(5, 0.1)
LIMIT_S = 480
"""No size starts later than this, so that the whole ends within ten minutes."""

COLUMNS = {
    "population": ("agents", "µs a step", "agent-steps a second", "bytes an agent"),
    "large": ("units", "µs a step", "bytes of state", "copying them, µs", "×"),
    "dense": ("units", "µs a step", "A·J alone, µs", "×", "A·J, GFLOP/s"),
}
TITLES = {
    "population": "CT-RNN + RFLO, 32 units, many agents",
    "large": "CT-RNN + RFLO, one large agent, compared with a copy of its state",
    "dense": "Dense RTRL, compared with its matrix product alone",
}


def population(agents: int, effort: Effort) -> dict[str, float]:
    """Many small agents at once."""
    row = training_row("paper", paper(TASK), TASK, agents)
    interleave([row], effort)
    return {
        "us": row.median * agents,
        "agent_steps_per_second": 1e6 / row.median,
        "bytes_per_agent": row.bytes / agents,
    }


def large(hidden: int, effort: Effort) -> dict[str, float]:
    """One agent, compared with reading and writing each number of its state once."""
    agent = paper(TASK, hidden)
    held = least(agent)
    floor, row = copy_row(held), training_row("paper", agent, TASK)
    interleave([floor, row], effort)
    return {"us": row.median, "bytes": held, "floor_us": floor.median, "ratio": ratio(row, floor)}


def copy_row(held: int) -> Row:
    """Reading and writing `held` bytes."""
    numbers = jnp.zeros(held // 4)

    def loop(numbers: jax.Array, steps: jax.Array) -> jax.Array:
        return jax.lax.fori_loop(0, steps, lambda _, numbers: numbers + 1, numbers)

    return Row("copy", numbers, compiled(loop, numbers))


def exact(hidden: int, effort: Effort) -> dict[str, float]:
    """Dense RTRL, compared with A·J on the same device."""
    agent = paper(TASK, hidden, RTRL())
    rows, columns = dense.shape(agent)
    floor, row = dense.xla_row(rows, columns), training_row("dense", agent, TASK)
    interleave([floor, row], effort)
    return {
        "us": row.median,
        "floor_us": floor.median,
        "ratio": ratio(row, floor),
        "gflops": 2 * rows * rows * columns / floor.median / 1e3,
    }


Study = Callable[[int, Effort], dict[str, float]]
STUDIES: dict[str, tuple[Study, tuple[int, ...], int]] = {
    "population": (population, (1, 8, 64, 512, 4096, 16_384, 65_536), 4),
    "large": (large, (1024, 2048, 4096, 8192), 32),
    "dense": (exact, (32, 64, 128, 256), 8),
}
"""What is measured, the sizes, and the one size of a quick run."""


def attempt(measure: Callable[[], dict[str, float]], size: str) -> dict[str, Any]:
    """The measurement, or one line that says why there is none."""
    try:
        return measure()
    except (jax.errors.JaxRuntimeError, MemoryError) as error:
        reason = (str(error) or "out of memory").splitlines()[0][:120]
        return {"error": f"{size} is left out: {reason}"}


def lines(study: str, records: list[dict[str, Any]]) -> list[list[str]]:
    """The cells of a study's table."""
    here = [r for r in records if r["study"] == study and "error" not in r]
    names = [name for name in (here[0] if here else {}) if name not in ("study", "size")]
    return [[f"{r['size']:,}", *(short(r[name]) for name in names)] for r in here]


def main() -> None:
    arguments = options(__doc__, PATH)
    effort = QUICK if arguments.quick else EFFORT
    console, records, start = Console(), [], time.monotonic()
    console.print(f"{about()['device']}, jax {jax.__version__}")
    for study, (measure, sizes, small) in STUDIES.items():
        for size in (small,) if arguments.quick else sizes:
            named = f"{study} {size:,}"
            if time.monotonic() - start > LIMIT_S:
                found = {"error": f"{named} is left out: {LIMIT_S} s are over"}
            else:
                found = attempt(functools.partial(measure, size, effort), named)
            console.print(found.get("error", f"{named}: {found.get('us', 0):,.2f} µs"))
            records.append({"study": study, "size": size} | found)
            write_json(arguments.json, about=about(), rows=records)
        console.print(table(TITLES[study], COLUMNS[study], lines(study, records)))


if __name__ == "__main__":
    main()
