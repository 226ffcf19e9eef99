"""Microseconds per learning step, beside a C loop of the same work compiled on the spot.

    python benchmarks/step.py [--quick] [--json PATH]

Every row is timed once in each repeat, so that whatever else the machine does meets all rows
alike; a row's number is its median. Ratios are to the C loop of the same run. The tape rows
learn from a recorded stream that never ends an episode; the others live in their world.
"""

import argparse
import dataclasses
import json
import platform
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import equinox as eqx
import floor
import jax
import jax.numpy as jnp
import lean
from rich import box
from rich.console import Console
from rich.table import Table

from rtrrl import stream
from rtrrl.agents import RTRRL
from rtrrl.environments import Environment, make

TASKS = ("CartPole-pos", "MemoryChain-16")
AGENTS = {"paper": RTRRL.paper, "default": RTRRL.default}  # CT-RNN + RFLO, RTU + diagonal RTRL
TAPE = "tape"
PERIOD = 1024


@dataclasses.dataclass
class Row:
    """One thing to time: `prepare` makes fresh arguments, `run(arguments, steps)` is timed."""

    name: str
    world: str
    seeds: int
    prepare: Callable[[], Any]
    run: Callable[[Any, int], Any]
    microseconds: list[float] = dataclasses.field(default_factory=list)

    def measure(self, steps: int) -> None:
        """One repeat."""
        arguments = jax.block_until_ready(self.prepare())
        start = time.perf_counter()
        jax.block_until_ready(self.run(arguments, steps))
        self.microseconds.append((time.perf_counter() - start) / steps * 1e6)


def compiled(function: Callable, carry: Any, *rest: Any) -> Callable[[Any, int], Any]:
    """`function(carry, steps, *rest)` compiled, the arrays of its carry donated."""
    _, fixed = eqx.partition(carry, eqx.is_array)

    def on_arrays(arrays: Any, steps: Any, *rest: Any) -> Any:
        return eqx.filter(function(eqx.combine(arrays, fixed), steps, *rest), eqx.is_array)

    program = jax.jit(on_arrays, donate_argnums=0).lower(fresh(carry), 1, *rest).compile()
    return lambda arrays, steps: program(arrays, steps, *rest)


def fresh(tree: Any) -> Any:
    """Copies of its arrays, which may be donated."""
    return jax.tree.map(jnp.copy, eqx.filter(tree, eqx.is_array))


def newborn(agent: RTRRL) -> Any:
    """A state in the first moment of an episode."""
    return agent.begin(agent.init(jax.random.key(0)), jnp.zeros(agent.observations))[0]


def tape_for(agent: RTRRL) -> floor.Tape:
    """A recorded stream of the agent's sizes."""
    return floor.Tape.random(PERIOD, agent.observations, agent.policy.outputs)


def floor_rows(console: Console) -> list[Row]:
    """The C loop, or one line that says why it is missing."""
    if not floor.compiler():
        console.print("no C compiler (cc) here: the C loop and the ratios to it are left out")
        return []
    agent = RTRRL.paper(TASKS[0])
    state, tape = newborn(agent), tape_for(agent)
    loop = floor.Floor(agent, state)
    run = lambda s, steps: loop.learn(s, steps, tape)  # noqa: E731
    return [Row("C loop", TAPE, 1, lambda: loop.pack(state), run)]


def lean_rows() -> list[Row]:
    agent = RTRRL.paper(TASKS[0])
    first, feedback = lean.learner(newborn(agent))
    noise = jax.random.uniform(jax.random.key(0), (PERIOD, 5))
    taped = lambda s, steps, tape: lean.replay(agent, feedback, s, steps, tape)  # noqa: E731
    alive = lambda s, steps, noise: lean.cartpole(agent, feedback, s, steps, noise)  # noqa: E731
    tape = tuple(map(jnp.asarray, tape_for(agent)))
    programs = {TAPE: compiled(taped, first, tape), TASKS[0]: compiled(alive, first, noise)}
    return [Row("lean scan", w, 1, lambda: fresh(first), run) for w, run in programs.items()]


def step_row(kind: str) -> Row:
    """The agent's `step` on the tape; it samples its actions, which the tape does not heed."""
    agent = AGENTS[kind](TASKS[0])
    tape = tape_for(agent)
    answers = tuple(map(jnp.asarray, (tape.observations, tape.rewards, tape.discounts)))
    first = newborn(agent)

    def loop(state: Any, steps: Any, answers: Any) -> Any:
        arrays, fixed = eqx.partition(state, eqx.is_array)

        def turn(i: Any, arrays: Any) -> Any:
            answer = (column[i % PERIOD] for column in answers)
            state, _, _ = agent.step(eqx.combine(arrays, fixed), *answer)
            return eqx.filter(state, eqx.is_array)

        return jax.lax.fori_loop(0, steps, turn, arrays)

    run = compiled(loop, first, answers)
    return Row(f"step, {kind}", TAPE, 1, lambda: fresh(first), run)


def live_row(kind: str, task: str, seeds: int) -> Row:
    agent, world = AGENTS[kind](task), make(task)
    assert isinstance(world, Environment)
    keys = jax.random.split(jax.random.key(0), seeds)
    lives = eqx.filter_vmap(lambda key: stream.birth(agent, world, key))(keys)
    run = compiled(lambda lives, steps: stream.live(agent, world, lives, steps), lives)
    return Row(f"live, {kind}", task, seeds, lambda: fresh(lives), run)


def rows(console: Console, quick: bool) -> list[Row]:
    """All rows, compiled; where it must be quick, of one task and one seed."""
    tasks, populations = (TASKS[:1], (1,)) if quick else (TASKS, (1, 8))
    made = floor_rows(console) + lean_rows() + [step_row(kind) for kind in AGENTS]
    for kind in AGENTS:
        made += [live_row(kind, task, seeds) for task in tasks for seeds in populations]
    return made


def results(timed: list[Row]) -> list[dict[str, Any]]:
    """One record a row."""
    medians = [statistics.median(row.microseconds) for row in timed]
    base = medians[0] if timed[0].name == "C loop" else None
    return [
        {
            "row": row.name,
            "world": row.world,
            "seeds": row.seeds,
            "us_per_step": median,
            "us_per_agent_step": median / row.seeds,
            "us_per_step_min": min(row.microseconds),
            "us_per_step_max": max(row.microseconds),
            "ratio_to_c": None if base is None else median / row.seeds / base,
        }
        for row, median in zip(timed, medians, strict=True)
    ]


def table(records: list[dict[str, Any]], steps: int, repeats: int) -> Table:
    drawn = Table(
        title="µs per learning step",
        box=box.SIMPLE_HEAD,
        caption=f"medians of {repeats} interleaved repeats of {steps} agent-steps, 32 units"
        "\nC loop, lean scan, paper: CT-RNN + RFLO; default: RTU + diagonal RTRL",
    )
    for heading in ("", "world"):
        drawn.add_column(heading, no_wrap=True)
    for heading in ("seeds", "a step", "best", "agent-step", "× C"):
        drawn.add_column(heading, justify="right", no_wrap=True)
    for r in records:
        ratio = "" if r["ratio_to_c"] is None else f"{r['ratio_to_c']:.1f}"
        times = (r[f"us_per_{kind}"] for kind in ("step", "step_min", "agent_step"))
        numbers = (f"{microseconds:.2f}" for microseconds in times)
        drawn.add_row(r["row"], r["world"], str(r["seeds"]), *numbers, ratio)
    return drawn


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="few steps: does it run at all?")
    parser.add_argument("--json", type=Path, metavar="PATH", help="write the numbers there too")
    options = parser.parse_args()
    steps, repeats = (64, 1) if options.quick else (20_000, 9)
    console = Console()
    timed = rows(console, options.quick)
    for _ in range(repeats):
        for row in timed:
            row.measure(max(1, steps // row.seeds))
    records = results(timed)
    console.print(table(records, steps, repeats))
    if options.json:
        about = {"jax": jax.__version__, "machine": platform.machine(), "rows": records}
        options.json.write_text(json.dumps(about, indent=2) + "\n")


if __name__ == "__main__":
    main()
