"""Where a step's time goes: what the compiler made of it, beside what the C loop does.

    python benchmarks/kernels.py [--quick] [--json PATH]

The kernels of a step (fused loops, products, copies) are read from the optimised program, with the
bytes that they read and write of arrays at least a quarter as large as the recurrent weights. Times
are taken in turn with the row's floor, and with the same agent without clipping of the norm.
"""

import dense  # first: it limits numpy's threads  # isort: skip
import argparse
import dataclasses
import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import floor
import hlo
import jax
from rich import box
from rich.console import Console
from rich.table import Table
from subjects import TASKS, births, c_row, default, live_row, living, newborn, paper
from timing import FULL, QUICK, Effort, Program, Row, about, compiled, interleave, ratio

from rtrrl.agents import RTRRL
from rtrrl.environments import Environment, make
from rtrrl.gradients import RTRL
from rtrrl.learning.optimizers import Adam

PATH = Path("docs/performance/kernels.json")
TASK = TASKS[0]
SIZES = (2, 32, 128, 256, 512, 1024)
SEEDS = 8

PASSES = {
    "drive": (("weights",), ()),
    "traces": (("traces", "influence"), ("traces", "influence", "ascent")),
    "Adam": (
        ("ascent", "first moment", "second moment", "weights"),
        ("first moment", "second moment", "weights"),
    ),
}
"""The passes of `floor.c`: the arrays of the weights' size that each reads and writes."""

ROLES = {
    "parameters": "weights",
    "traces": "traces",
    "influence": "influence",
    "mu": "first moment",
    "nu": "second moment",
}
"""What the compiler's names of the agent's arrays contain, and what they are."""


class Case(NamedTuple):
    """An agent beside a floor: what makes the floor's rows, and the bytes that it moves."""

    row: str
    agent: RTRRL
    floors: Callable[[], list[Row]]
    floor_bytes: int


def cases(quick: bool) -> list[Case]:
    """All of them; where there is no C compiler, less those beside the C loop."""
    made = []
    for hidden in (32,) if quick else SIZES:
        agent = paper(TASK, hidden)
        if floor.compiler():
            made.append(_beside_c(agent, hidden))
    if not quick:
        made += [_beside_paper(hidden) for hidden in SIZES[:2]]
        made.append(_beside_product(32))
    return made


def _beside_c(agent: RTRRL, hidden: int) -> Case:
    arrays = sum(len(names) for both in PASSES.values() for names in both)
    what = f"CT-RNN + RFLO, n = {hidden}"
    return Case(what, agent, lambda: [c_row(agent)], arrays * recurrent(agent))


def _beside_paper(hidden: int) -> Case:
    base = paper(TASK, hidden)
    rows = lambda: [live_row("our CT-RNN", base, TASK)]  # noqa: E731
    what = f"RTU + diagonal RTRL, n = {hidden}"
    return Case(what, default(TASK, hidden), rows, moved(kernels(base)))


def _beside_product(hidden: int) -> Case:
    agent = paper(TASK, hidden, RTRL())
    shape = dense.shape(agent)
    rows = lambda: [dense.numpy_row(*shape), dense.xla_row(*shape)]  # noqa: E731
    return Case(f"dense RTRL, n = {hidden}", agent, rows, 2 * 4 * math.prod(shape))


def recurrent(agent: RTRRL) -> int:
    """Bytes of the recurrent weights."""
    cell = jax.eval_shape(lambda: newborn(agent)).parameters.cell
    return cell.weight.size * cell.weight.dtype.itemsize


def kernels(agent: RTRRL) -> list[hlo.Kernel]:
    """Those of the agent's step, the arrays by their roles."""
    found = hlo.kernels(living(agent, TASK).text, recurrent(agent) // 4)
    return [
        kernel._replace(reads=_by_role(kernel.reads), writes=_by_role(kernel.writes))
        for kernel in found
    ]


def _by_role(arrays: dict[str, int]) -> dict[str, int]:
    found: dict[str, int] = {}
    for name, held in arrays.items():
        words = name.split(".")[0].split("_")
        role = next((role for word, role in ROLES.items() if word in words), name)
        found[role] = found.get(role, 0) + held
    return found


def unclipped(agent: RTRRL) -> RTRRL | None:
    """The same agent, whose updates may be of any norm; none if they may be already."""
    assert isinstance(agent.optimizer, Adam)
    if math.isinf(agent.optimizer.clip):
        return None
    return dataclasses.replace(agent, optimizer=dataclasses.replace(agent.optimizer, clip=math.inf))


def measured(case: Case, effort: Effort) -> dict[str, Any]:
    """Bytes, kernels and microseconds of a case."""
    agents = [agent for agent in (case.agent, unclipped(case.agent)) if agent]
    rows, floors = [live_row("", agent, TASK) for agent in agents], case.floors()
    interleave([*floors, *rows], effort)
    least = min(floors, key=lambda floor: floor.median)
    found, *without = (kernels(agent) for agent in agents)
    return {
        "row": case.row,
        "against": least.name,
        "us": rows[0].median,
        "floor_us": least.median,
        "ratio": ratio(rows[0], least),
        "bytes": moved(found),
        "floor_bytes": case.floor_bytes,
        "kernels": len(found),
        "copies": sum(kernel.kind == "copy" for kernel in found),
        "whole": "xla_cpu_small_call" in living(case.agent, TASK).text,
        "unclipped": [
            {"bytes": moved(others), "ratio": ratio(row, rows[0])}
            for row, others in zip(rows[1:], without, strict=True)
        ],
        "listed": [kernel._asdict() | {"bytes": kernel.bytes} for kernel in found if kernel.bytes],
    }


def moved(found: list[hlo.Kernel]) -> int:
    """Bytes that kernels read and write."""
    return sum(kernel.bytes for kernel in found)


def seeds(count: int, effort: Effort) -> dict[str, Any]:
    """Microseconds of one agent's step: alone, among others in turn, and side by side."""
    agent, world = paper(TASK), make(TASK)
    assert isinstance(world, Environment)
    alone, in_turn = live_row("alone", agent, TASK), live_row("in turn", agent, TASK, count)
    lives = births(agent, TASK, count)()
    loop = lambda lives, steps: loop._side_by_side(agent, world, lives, steps, 1)  # noqa: E731
    beside = Row("side by side", lives, compiled(loop, lives), count)
    interleave([alone, in_turn, beside], effort)
    assert isinstance(alone.run, Program)
    return {
        "count": count,
        "bytes": alone.run.bytes,
        "alone": alone.median,
        "in turn": {"us": in_turn.median, "ratio": ratio(in_turn, alone)},
        "side by side": {"us": beside.median, "ratio": ratio(beside, alone)},
    }


def table(found: list[dict[str, Any]]) -> Table:
    """A line for each case."""
    drawn = Table(
        title="Where the time goes",
        box=box.SIMPLE_HEAD,
        caption="bytes and time: × the floor's; unclipped: time × the clipped agent's",
    )
    for heading in ("", "kernels", "copies", "bytes", "time", "unclipped"):
        drawn.add_column(heading, no_wrap=True)
    for case in found:
        drawn.add_row(
            case["row"],
            str(case["kernels"]),
            str(case["copies"]),
            f"{case['bytes'] / case['floor_bytes']:.2f}",
            f"{case['ratio']:.2f}",
            *(f"{other['ratio']:.2f}" for other in case["unclipped"]),
        )
    return drawn


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="one case: does it run at all?")
    parser.add_argument("--json", type=Path, metavar="PATH", help=f"instead of {PATH}")
    options = parser.parse_args()
    path = options.json or (None if options.quick else PATH)
    effort, console = QUICK if options.quick else FULL, Console()
    if not floor.compiler():
        console.print("no C compiler (cc) here: the rows beside the C loop are left out")
    with console.status("") as status:
        found = []
        for case in cases(options.quick):
            status.update(case.row)
            found.append(measured(case, effort))
        status.update("many seeds")
        side = seeds(4 if options.quick else SEEDS, effort)
    console.print(table(found))
    if path:
        path.parent.mkdir(parents=True, exist_ok=True)
        numbers = {"about": about(), "cases": found, "seeds": side}
        path.write_text(json.dumps(numbers, indent=2) + "\n")


if __name__ == "__main__":
    main()
