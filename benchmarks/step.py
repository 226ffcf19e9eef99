"""Microseconds per learning step in detail, compared with a C loop of the same arithmetic.

    python benchmarks/step.py [--quick] [--json PATH]

Every row is timed once in each repeat, so that other load on the machine affects all rows alike; a
row's number is its median. Ratios are to the C loop of the same run. "C loop" and "step" learn from
a recorded stream without episode ends, "train" in an environment.
"""

from typing import Any

import floor
import jax
import jax.numpy as jnp
from output import options, short, table, write_json
from rich.console import Console
from timing import FULL, QUICK, Row, about, compiled, interleave, ratio
from workloads import TASKS, c_loop_row, default, initial_state, paper, training_row

AGENTS = {"paper": paper, "default": default}  # CT-RNN + RFLO, RTU + diagonal RTRL


def step_row(kind: str) -> Row:
    """The agent's `step` on a recorded stream, whatever actions it draws."""
    agent = AGENTS[kind](TASKS[0])
    recording = floor.Recording.random(agent)
    stream = (recording.observations, recording.rewards, recording.discounts)

    def loop(state: Any, steps: Any, stream: Any) -> Any:
        def step(i: Any, state: Any) -> Any:
            return agent.step(state, *(column[i % len(column)] for column in stream))[0]

        return jax.lax.fori_loop(0, steps, step, state)

    first = initial_state(agent)
    program = compiled(loop, first, tuple(map(jnp.asarray, stream)))
    return Row(f"step, {kind}", first, program)


def rows(quick: bool) -> list[Row]:
    """All rows, compiled; if quick, of one task and one seed."""
    tasks, numbers_of_seeds = (TASKS[:1], (1,)) if quick else (TASKS, (1, 8))
    made = [c_loop_row(paper(TASKS[0]))] if floor.compiler() else []
    made += [step_row(kind) for kind in AGENTS]
    for kind, agent in AGENTS.items():
        for task in tasks:
            for seeds in numbers_of_seeds:
                made.append(training_row(f"train, {kind}, {task}", agent(task), task, seeds))
    return made


def results(timed: list[Row]) -> list[dict[str, Any]]:
    """One record a row."""
    base = next((row for row in timed if row.name == "C loop"), None)
    return [
        {
            "row": row.name,
            "seeds": row.agents,
            "us_per_step": row.median * row.agents,
            "us_per_step_min": min(row.microseconds) * row.agents,
            "us_per_agent_step": row.median,
            "ratio_to_c": None if base is None else ratio(row, base),
        }
        for row in timed
    ]


def main() -> None:
    arguments, console = options(__doc__), Console()
    effort = QUICK if arguments.quick else FULL
    if not floor.compiler():
        console.print(f"{floor.MISSING}: the C loop and the ratios to it are left out")
    timed = rows(arguments.quick)
    interleave(timed, effort)
    records = results(timed)
    lines = [
        ["" if v is None else short(v) if isinstance(v, float) else str(v) for v in r.values()]
        for r in records
    ]
    caption = (
        f"medians of {effort.repeats} interleaved repeats, 32 units\n"
        "C loop, paper: CT-RNN + RFLO; default: RTU + diagonal RTRL"
    )
    columns = ("", "seeds", "a step", "best", "agent-step", "× C")
    console.print(table("µs per learning step", columns, lines, caption))
    write_json(arguments.json, about=about(), rows=records)


if __name__ == "__main__":
    main()
