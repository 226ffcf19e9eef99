"""Writes docs/performance.md and its figures from the numbers in docs/performance/*.json.

python benchmarks/report.py [--docs FOLDER]
"""

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import figures
import gpu
import reasons
import targets
from scaling import EXPONENTS, HIDDEN, POPULATION, WINDOW, curve, exponent

from rtrrl.experiments.suite import markdown

STUDIES = (HIDDEN, POPULATION, WINDOW)
FIGURE = "figures/performance-{}.png"


def page(
    measured: dict[str, Any],
    scaling: dict[str, Any],
    kernels: dict[str, Any],
    on_gpu: dict[str, Any] | None,
) -> str:
    """docs/performance.md."""
    points = scaling["points"]
    return f"""# How fast it is

Written by `make performance`; do not edit.
{_where(measured["about"])}
Times are of one agent that lives in its world and learns at every step, on one core unless it says
otherwise.

## Targets

Each row stands beside its floor, the least that its work can cost, compiled and timed in the same
process: the two take turns, {targets.FULL.repeats} times each, so that whatever else the machine
does meets both alike. *Measured* is the median of their ratios. World and learning are included,
though the floors have no world.

{_targets(measured["rows"])}
- *C loop*: `benchmarks/floor.c`, the same arithmetic of the same sizes, compiled for this very
  processor; it learns from a recorded stream. A test holds it to the agent's numbers.
- *our CT-RNN*: the paper's agent of the same size.
- *A·J*: the one matrix product that dense RTRL cannot avoid, by numpy's BLAS on one thread and by
  XLA; the faster of the two is the floor.
- *1 core*: the same seeds with one worker. Here the ratio is how many times as fast two are.
- *five arrays*: the bytes of parameters, influence, traces and Adam's two moments. Measured is
  the larger of what the compiled loop plans to hold and what its process grows by.
- *imports*: what importing JAX and the world's package takes; measured is what comes on top.

{reasons.section(kernels, measured["rows"])}
## Against the number of units

{_study(points, HIDDEN)}
Dotted is the slope that theory gives, through the last point; the exponents are fitted over the
sizes named, the upper half of those measured. Time is a median, memory the most that the compiled
loop plans to hold. A CT-RNN of n units has about n² weights, and RFLO, SnAp-1 and UORO visit each
of them a few times: O(n²). An RTU's units read no other unit, so its weights and the exact diagonal
influence grow with n alone. Dense RTRL carries n numbers for each of n² weights and mixes them by
an n × n matrix: O(n³) memory, O(n⁴) work. Small sizes lie above the slopes: there, what a step
costs besides its weights prevails. Where an agent outgrows a cache, its time bends upwards.

## Against the number of seeds

Time and memory of one agent, among so many that one core lets live in turn.

{_study(points, POPULATION)}
## Against the length of the window

Truncated BPTT walks back through its whole window at every step; the online rules do not. Its
memory is a few numbers a step of the window, beside weights that do not grow with it.

{_study(points, WINDOW)}
## On a GPU

{_gpu(on_gpu)}
## To repeat it

    make performance

The scaling study keeps its points in `docs/performance/scaling.json` and measures only those that
are missing; delete the file to begin anew. On a machine with a GPU: `python benchmarks/gpu.py`,
then `python benchmarks/report.py`.
"""


def _where(about: dict[str, Any]) -> str:
    return (
        f"Measured on {about['cores']} cores of an {about['processor']} with rtrrl "
        f"{about['rtrrl']}, jax {about['jax']}, Python {about['python']}."
    )


def _targets(records: list[dict[str, Any]]) -> str:
    columns = ("", "world", "time or memory", "floor", "", "measured", "target", "")
    return markdown(columns, [_target(record) for record in records])


def _target(record: dict[str, Any]) -> list[str]:
    unit = record["unit"]
    floor = "" if record["floor"] is None else f"{_short(record['floor'])} {unit}"
    return [
        record["row"],
        record.get("world", ""),
        f"{_short(record['value'])} {unit}",
        floor,
        targets.against(record),
        targets.measured(record),
        record["target"],
        "pass" if record["passed"] else "**miss**",
    ]


def _study(points: list[dict[str, Any]], study: str) -> str:
    """The figure, and a table of exponents."""
    columns = ("", "sizes", "exponent of time", "theory", "exponent of memory", "theory")
    rows = []
    for (where, series), theory in EXPONENTS.items():
        sizes, times, held = curve(points, study, series)
        if where != study or len(sizes) < 4:
            continue
        time, memory = (_exponent(sizes, values) for values in (times, held))
        upper = f"{sizes[len(sizes) // 2]:,} … {sizes[-1]:,}"
        rows.append([series, upper, time, str(theory[0]), memory, str(theory[1])])
    name = FIGURE.format(study)
    return f"![time and memory against {study}]({name})\n\n{markdown(columns, rows)}"


def _exponent(sizes: list[int], values: Sequence[float]) -> str:
    return f"{round(exponent(sizes, values), 2) + 0.0:.2f}"  # no minus before a zero


def _gpu(found: dict[str, Any] | None) -> str:
    if found is None:
        return "`benchmarks/gpu.py` has not been run on a GPU yet.\n"
    about, records = found["about"], found["rows"]
    parts = [f"One {about['device']}, jax {about['jax']}.\n"]
    for study, title in gpu.TITLES.items():
        parts.append(f"{title}:\n")
        parts.append(markdown(gpu.COLUMNS[study], gpu.lines(study, records)))
        parts += [f"{record['error']}\n" for record in records if _failed(record, study)]
    return "\n".join(parts)


def _failed(record: dict[str, Any], study: str) -> bool:
    return record["study"] == study and "error" in record


def _short(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.2f}"


def read(path: Path, command: str) -> dict[str, Any]:
    """The numbers. **Raises** `SystemExit` where they are not there yet."""
    if not path.exists():
        raise SystemExit(f"{path} is missing: measure it with `{command} {path}`")
    return json.loads(path.read_text())


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--docs", type=Path, default=Path("docs"), metavar="FOLDER")
    docs = parser.parse_args().docs
    numbers = docs / "performance"
    measured, scaling, kernels = (
        read(numbers / name, command)
        for name, command in (
            ("targets.json", "python benchmarks/targets.py --json"),
            ("scaling.json", "python benchmarks/scaling.py --json"),
            ("kernels.json", "python benchmarks/kernels.py --json"),
        )
    )
    on_gpu = numbers / "gpu.json"
    found = json.loads(on_gpu.read_text()) if on_gpu.exists() else None
    for study in STUDIES:
        figures.write(figures.figure(scaling["points"], study), docs / FIGURE.format(study))
    (docs / "performance.md").write_text(page(measured, scaling, kernels, found))
    print(f"written: {docs / 'performance.md'} and its figures")


if __name__ == "__main__":
    main()
