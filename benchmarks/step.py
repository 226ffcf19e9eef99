"""Microseconds per learning step in detail, beside a C loop of the same work.

    python benchmarks/step.py [--quick] [--json PATH]

Every row is timed once in each repeat, so that whatever else the machine does meets all rows
alike; a row's number is its median. Ratios are to the C loop of the same run. The tape rows
learn from a recorded stream that never ends an episode; the others live in their world.
"""

import argparse
import json
from pathlib import Path
from typing import Any

import floor
import jax
import jax.numpy as jnp
from rich import box
from rich.console import Console
from rich.table import Table
from subjects import PERIOD, TASKS, c_row, default, live_row, newborn, paper, tape_for
from timing import FULL, QUICK, Row, about, compiled, interleave, ratio

AGENTS = {"paper": paper, "default": default}  # CT-RNN + RFLO, RTU + diagonal RTRL
TAPE = "tape"

Placed = tuple[str, Row]
"""A row and the world it is in."""


def floor_rows(console: Console) -> list[Placed]:
    """The C loop, or one line that says why it is missing."""
    if not floor.compiler():
        console.print("no C compiler (cc) here: the C loop and the ratios to it are left out")
        return []
    return [(TAPE, c_row(paper(TASKS[0])))]


def step_row(kind: str) -> Placed:
    """The agent's `step` on the tape; it samples its actions, which the tape does not heed."""
    agent = AGENTS[kind](TASKS[0])
    tape = tape_for(agent)
    answers = tuple(map(jnp.asarray, (tape.observation_size, tape.rewards, tape.discounts)))

    def loop(state: Any, steps: Any, answers: Any) -> Any:
        def turn(i: Any, state: Any) -> Any:
            return agent.step(state, *(column[i % PERIOD] for column in answers))[0]

        return jax.lax.fori_loop(0, steps, turn, state)

    first = newborn(agent)
    return TAPE, Row(f"step, {kind}", first, compiled(loop, first, answers))


def rows(console: Console, quick: bool) -> list[Placed]:
    """All rows, compiled; where it must be quick, of one task and one seed."""
    tasks, populations = (TASKS[:1], (1,)) if quick else (TASKS, (1, 8))
    made = floor_rows(console) + [step_row(kind) for kind in AGENTS]
    for kind, agent in AGENTS.items():
        for task in tasks:
            for seeds in populations:
                made.append((task, live_row(f"live, {kind}", agent(task), task, seeds)))
    return made


def results(timed: list[Placed]) -> list[dict[str, Any]]:
    """One record a row."""
    base = next((row for _, row in timed if row.name == "C loop"), None)
    return [
        {
            "row": row.name,
            "world": world,
            "seeds": row.agents,
            "us_per_step": row.median * row.agents,
            "us_per_agent_step": row.median,
            "us_per_step_min": min(row.microseconds) * row.agents,
            "ratio_to_c": None if base is None else ratio(row, base),
        }
        for world, row in timed
    ]


def table(records: list[dict[str, Any]], repeats: int) -> Table:
    drawn = Table(
        title="µs per learning step",
        box=box.SIMPLE_HEAD,
        caption=f"medians of {repeats} interleaved repeats, 32 units"
        "\nC loop, paper: CT-RNN + RFLO; default: RTU + diagonal RTRL",
    )
    for heading in ("", "world"):
        drawn.add_column(heading, no_wrap=True)
    for heading in ("seeds", "a step", "best", "agent-step", "× C"):
        drawn.add_column(heading, justify="right", no_wrap=True)
    for r in records:
        beside = "" if r["ratio_to_c"] is None else f"{r['ratio_to_c']:.1f}"
        times = (r[f"us_per_{kind}"] for kind in ("step", "step_min", "agent_step"))
        numbers = (f"{microseconds:.2f}" for microseconds in times)
        drawn.add_row(r["row"], r["world"], str(r["seeds"]), *numbers, beside)
    return drawn


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="few steps: does it run at all?")
    parser.add_argument("--json", type=Path, metavar="PATH", help="write the numbers there too")
    options = parser.parse_args()
    effort, console = QUICK if options.quick else FULL, Console()
    timed = rows(console, options.quick)
    interleave([row for _, row in timed], effort)
    records = results(timed)
    console.print(table(records, effort.repeats))
    if options.json:
        options.json.parent.mkdir(parents=True, exist_ok=True)
        options.json.write_text(json.dumps({"about": about(), "rows": records}, indent=2) + "\n")


if __name__ == "__main__":
    main()
