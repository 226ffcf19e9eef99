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
import targets
from kernels import C_LOOP_PASSES
from output import short
from scaling import EXPONENTS, HIDDEN, POPULATION, WINDOW, curve, exponent

from rtrrl.experiments.suite import markdown_table

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
    return f"""# Performance

Written by `make performance`; do not edit.
{_machine(measured["about"])}
All times are for one agent that acts in its environment and learns at every step, on one core
unless stated otherwise.

## Targets

Each row is compared with its floor, the least that its work can cost. Both are compiled in the
same process and timed in turn, {targets.FULL.repeats} times each, so that other load on the machine
affects both alike. *Measured* is the median of their ratios. It includes the environment and
learning, although the floors have no environment.

{_targets(measured["rows"])}
- *C loop*: `benchmarks/floor.c`, the same arithmetic with the same sizes, compiled for this
  processor; it learns from a recorded stream. A test checks that it computes the agent's numbers.
- *our CT-RNN*: the paper's agent of the same size.
- *A·J*: the one matrix product that dense RTRL cannot avoid, by numpy's BLAS on one thread and by
  XLA; the faster of the two is the floor.
- *1 core*: the same seeds with one worker. Here the ratio is how many times as fast two are.
- *five arrays*: the bytes of parameters, influence, traces and Adam's two moments. Measured is
  the larger of what the compiled loop plans to hold and what its process grows by.
- *imports*: the time to import JAX and the environment's package; measured is the time beyond that.

{_kernels(kernels, measured["rows"])}
## Against the number of units

{_study(points, HIDDEN)}
Dotted lines are the theoretical slopes, drawn through the last point; the exponents are fitted over
the sizes listed, the upper half of those measured. Time is a median, memory the most that the
compiled loop plans to hold. A CT-RNN of n units has about n² weights, and RFLO, SnAp-1 and UORO
visit each of them a few times: O(n²). A unit of an RTU reads no other unit, so the weights and the
exact diagonal influence grow with n alone. Dense RTRL carries n numbers for each of n² weights and
multiplies them by an n × n matrix: O(n³) memory, O(n⁴) work. Small sizes lie above the slopes,
because the part of a step's cost that does not depend on the weights dominates there. The slope of
the time rises where an agent no longer fits into a cache.

## Against the number of seeds

Time and memory of one agent among many that one core trains in turn.

{_study(points, POPULATION)}
## Against the length of the window

Truncated BPTT goes back through its whole window at every step; the online rules do not. Its
memory is a few numbers for each step of the window, and weights that do not grow with it.

{_study(points, WINDOW)}
## On a GPU

{_gpu(on_gpu)}
## To repeat it

    make performance

The scaling study keeps its points in `docs/performance/scaling.json` and measures only those that
are missing; delete the file to measure all of them again. On a machine with a GPU:
`python benchmarks/gpu.py`, then `python benchmarks/report.py`.
"""


def _machine(about: dict[str, Any]) -> str:
    return (
        f"Measured on {about['cores']} cores of an {about['processor']} with rtrrl "
        f"{about['rtrrl']}, jax {about['jax']}, Python {about['python']}."
    )


def _targets(records: list[dict[str, Any]]) -> str:
    columns = ("", "environment", "time or memory", "floor", "", "measured", "target", "")
    return markdown_table(columns, [_target(record) for record in records])


def _target(record: dict[str, Any]) -> list[str]:
    unit = record["unit"]
    return [
        record["row"],
        record.get("environment", ""),
        f"{short(record['value'])} {unit}",
        "" if record["floor"] is None else f"{short(record['floor'])} {unit}",
        record["against"],
        targets.measured(record),
        record["target"],
        "pass" if record["passed"] else "**miss**",
    ]


def _kernels(found: dict[str, Any], records: list[dict[str, Any]]) -> str:
    """The missed rows in detail, the smallest agents, and many seeds."""
    missed = {record["row"] for record in records if not record["passed"]}
    columns = (
        *("", "kernels", "copies", "one function", "bytes", "floor's", "ratio of bytes"),
        *("ratio of times", "bytes without clipping", "time, relative to clipping"),
    )
    rows = [_case(case) for case in found["cases"] if case["row"] in missed]
    floor = f"{sum(C_LOOP_PASSES)} times a step, in {len(C_LOOP_PASSES)} passes"
    parts = [
        f"""## Where the time goes

The missed rows in detail. *Kernels* are the fused loops, matrix products and copies that XLA makes
of a step; *one function* says whether it compiled them into one function. *Bytes* are those that
the kernels read and write, of arrays at least a quarter as large as the recurrent weights; the C
loop reads or writes such an array {floor}. In a CT-RNN with RFLO, XLA computes
the ascent direction from traces and influence three times, for its norm and for each of Adam's
moments, and copies the influence once; in dense RTRL, it reads the influence for two more products
and copies it once. Times are measured again, in turn with the floor and in one environment.

{markdown_table(columns, rows)}""",
        _smallest([case for case in found["cases"] if case["row"].endswith("n = 2")]),
    ]
    if any("seeds, per agent" in row for row in missed):
        parts.append(_seeds(found["seeds"]))
    return "\n".join(filter(None, parts))


def _case(case: dict[str, Any]) -> list[str]:
    without = case["unclipped"]
    return [
        case["row"],
        str(case["kernels"]),
        str(case["copies"]),
        "yes" if case["one_function"] else "no",
        _kilobytes(case["bytes"]),
        _kilobytes(case["floor_bytes"]),
        f"{case['bytes'] / case['floor_bytes']:.2f} ×",
        f"{case['ratio']:.2f} ×",
        _kilobytes(without["bytes"]) if without else "",
        f"{without['ratio']:.2f} ×" if without else "",
    ]


def _smallest(cases: list[dict[str, Any]]) -> str:
    if not cases:
        return ""
    rows = [
        [case["row"], f"{case['us']:.2f} µs", f"{case['floor_us']:.2f} µs", case["against"]]
        for case in cases
    ]
    return f"""With two units there are hardly any weights. What remains of a step is the
environment, the random numbers and many small kernels, which larger agents have too; the C loop has
neither environment nor random numbers.

{markdown_table(("", "a step", "floor", ""), rows)}"""


def _seeds(found: dict[str, Any]) -> str:
    rows = [["one alone", f"{found['alone']:.2f} µs", ""]]
    for how in ("in turn", "side by side"):
        rows.append([how, f"{found[how]['us']:.2f} µs", f"{found[how]['ratio']:.2f} ×"])
    columns = (f"{found['count']} seeds", "time per agent", "relative to one alone")
    return f"""Many seeds are trained in turn: an agent among them costs what it costs alone, so its
ratio to the C loop is that of one agent. Side by side, each kernel goes through the arrays of
{found["count"]} agents, each of {_kilobytes(found["bytes"])}, before the next kernel starts.

{markdown_table(columns, rows)}"""


def _kilobytes(count: int) -> str:
    return f"{count / 1000:,.1f} kB"


def _study(points: list[dict[str, Any]], study: str) -> str:
    """The figure and a table of exponents."""
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
    return f"![time and memory against {study}]({name})\n\n{markdown_table(columns, rows)}"


def _exponent(sizes: list[int], values: Sequence[float]) -> str:
    return f"{round(exponent(sizes, values), 2) + 0.0:.2f}"  # no minus before a zero


def _gpu(found: dict[str, Any] | None) -> str:
    if found is None:
        return "`benchmarks/gpu.py` has not been run on a GPU yet.\n"
    about, records = found["about"], found["rows"]
    parts = [f"One {about['device']}, jax {about['jax']}.\n"]
    for study, title in gpu.TITLES.items():
        parts.append(f"{title}:\n")
        parts.append(markdown_table(gpu.COLUMNS[study], gpu.lines(study, records)))
        parts += [f"{r['error']}\n" for r in records if r["study"] == study and "error" in r]
    return "\n".join(parts)


def read(numbers: Path) -> tuple[Any, Any, Any, Any]:
    """The arguments of `page`. **Raises** `SystemExit` where a file is missing."""
    found = []
    for name in ("targets", "scaling", "kernels", "gpu"):
        path = numbers / f"{name}.json"
        if not path.exists() and name != "gpu":
            command = f"python benchmarks/{name}.py --json {path}"
            raise SystemExit(f"{path} is missing: measure it with `{command}`")
        found.append(json.loads(path.read_text()) if path.exists() else None)
    measured, scaling, kernels, on_gpu = found
    return measured, scaling, kernels, on_gpu


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--docs", type=Path, default=Path("docs"), metavar="FOLDER")
    docs = parser.parse_args().docs
    numbers = read(docs / "performance")
    (docs / "figures").mkdir(exist_ok=True)
    for study in STUDIES:
        figure = figures.figure(numbers[1]["points"], study)
        figure.savefig(docs / FIGURE.format(study), dpi=110, facecolor="white")
    (docs / "performance.md").write_text(page(*numbers))
    print(f"written: {docs / 'performance.md'} and its figures")


if __name__ == "__main__":
    main()
