"""Where a step's time goes: the kernels that XLA makes of it, compared with the C loop.

    python benchmarks/kernels.py [--quick] [--json PATH]

The kernels of a step (fused loops, products, copies) are read from the optimized program, with the
bytes that they read and write of arrays at least a quarter as large as the recurrent weights. Times
are taken in turn with the row's floor, and with the same agent without clipping of the norm.
"""

import dense  # first: it limits numpy's threads  # isort: skip
import dataclasses
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import floor
import hlo
import jax
from output import options, table, write_json
from rich.console import Console
from timing import FULL, QUICK, Effort, Row, about, compiled, interleave, ratio
from workloads import (
    TASKS,
    c_loop_row,
    default,
    environment,
    initial_state,
    initializer,
    paper,
    training,
    training_row,
)

from rtrrl.agents import RTRRL
from rtrrl.gradients import RTRL
from rtrrl.learning.optimizers import Adam
from rtrrl.training import loop

PATH = Path("docs/performance/kernels.json")
TASK = TASKS[0]
SIZES = (2, 32, 128, 256, 512, 1024)
SEEDS = 8

C_LOOP_PASSES = (1, 5, 7)
"""Arrays of the weights' size that each pass of `floor.c` reads or writes.

1: reads the weights. 2: reads traces and influence, writes both and the ascent direction. 3: reads
the ascent direction, and reads and writes both moments and the weights.
"""


class Case(NamedTuple):
    """An agent, the rows of its floor, and the bytes that the floor moves."""

    row: str
    agent: RTRRL
    floors: list[Row]
    floor_bytes: int


def cases(quick: bool) -> Iterator[Case]:
    """All cases; without a C compiler, those that need no C loop."""
    if floor.compiler():
        for hidden in (32,) if quick else SIZES:
            agent, row = paper(TASK, hidden), f"CT-RNN + RFLO, n = {hidden}"
            yield Case(row, agent, [c_loop_row(agent)], sum(C_LOOP_PASSES) * weight_bytes(agent))
    if quick:
        return
    for hidden in SIZES[:2]:
        base, row = paper(TASK, hidden), f"RTU + diagonal RTRL, n = {hidden}"
        floors = [training_row("our CT-RNN", base, TASK)]
        yield Case(row, default(TASK, hidden), floors, moved(kernels(base)))
    agent = paper(TASK, 32, RTRL())
    shape = dense.shape(agent)
    products = [dense.numpy_row(*shape), dense.xla_row(*shape)]
    yield Case("dense RTRL, n = 32", agent, products, 2 * 4 * math.prod(shape))


def weight_bytes(agent: RTRRL) -> int:
    """Bytes of the recurrent weights."""
    weight = jax.eval_shape(lambda: initial_state(agent)).params.cell.weight
    return weight.size * weight.dtype.itemsize


def kernels(agent: RTRRL) -> list[hlo.Kernel]:
    """The kernels of the agent's step."""
    return hlo.kernels(training(agent, TASK).text, weight_bytes(agent) // 4)


def moved(found: list[hlo.Kernel]) -> int:
    """Bytes that kernels read and write."""
    return sum(kernel.bytes for kernel in found)


def unclipped(agent: RTRRL) -> RTRRL | None:
    """The same agent without clipping of the norm; None if it has none."""
    assert isinstance(agent.optimizer, Adam)
    if math.isinf(agent.optimizer.clip):
        return None
    return dataclasses.replace(agent, optimizer=dataclasses.replace(agent.optimizer, clip=math.inf))


def measured(case: Case, effort: Effort) -> dict[str, Any]:
    """Bytes, kernels and microseconds of a case."""
    without = unclipped(case.agent)
    row = training_row("", case.agent, TASK)
    others = [training_row("", without, TASK)] if without else []
    interleave([*case.floors, row, *others], effort)
    least = min(case.floors, key=lambda floor: floor.median)
    found = kernels(case.agent)
    return {
        "row": case.row,
        "against": least.name,
        "us": row.median,
        "floor_us": least.median,
        "ratio": ratio(row, least),
        "bytes": moved(found),
        "floor_bytes": case.floor_bytes,
        "kernels": len(found),
        "copies": sum(kernel.opcode == "copy" for kernel in found),
        "one_function": "xla_cpu_small_call" in training(case.agent, TASK).text,
        "unclipped": without and {"bytes": moved(kernels(without)), "ratio": ratio(others[0], row)},
    }


def seeds(count: int, effort: Effort) -> dict[str, Any]:
    """Microseconds of one agent's step: alone, among others in turn, and side by side."""
    agent = paper(TASK)
    alone, in_turn = (training_row("", agent, TASK, number) for number in (1, count))
    states = initializer(agent, TASK, count)()
    run = lambda states, steps: loop._side_by_side(  # noqa: E731
        agent, environment(TASK), states, steps, 1
    )
    beside = Row("side by side", states, compiled(run, states), count)
    interleave([alone, in_turn, beside], effort)
    return {
        "count": count,
        "bytes": alone.bytes,
        "alone": alone.median,
        "in turn": {"us": in_turn.median, "ratio": ratio(in_turn, alone)},
        "side by side": {"us": beside.median, "ratio": ratio(beside, alone)},
    }


def line(case: dict[str, Any]) -> list[str]:
    """The cells of a case."""
    without = case["unclipped"]
    return [
        case["row"],
        str(case["kernels"]),
        str(case["copies"]),
        f"{case['bytes'] / case['floor_bytes']:.2f}",
        f"{case['ratio']:.2f}",
        f"{without['ratio']:.2f}" if without else "",
    ]


def main() -> None:
    arguments, console = options(__doc__, PATH), Console()
    effort = QUICK if arguments.quick else FULL
    if not floor.compiler():
        console.print(f"{floor.MISSING}: the rows compared with the C loop are left out")
    found = []
    with console.status("") as status:
        for case in cases(arguments.quick):
            status.update(case.row)
            found.append(measured(case, effort))
        status.update("many seeds")
        side = seeds(4 if arguments.quick else SEEDS, effort)
    columns = ("", "kernels", "copies", "bytes", "time", "unclipped")
    caption = "bytes and time: × the floor's; unclipped: time × the clipped agent's"
    console.print(table("Where the time goes", columns, map(line, found), caption))
    write_json(arguments.json, about=about(), cases=found, seeds=side)


if __name__ == "__main__":
    main()
