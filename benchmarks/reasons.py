"""Why a target is missed: a section of docs/performance.md, from the numbers of `kernels.py`."""

from typing import Any

from kernels import PASSES

from rtrrl.experiments.suite import markdown

COLUMNS = (
    *("", "kernels", "copies", "one function", "bytes", "floor's", "ratio of bytes"),
    *("ratio of times", "bytes without clipping", "time, to that with clipping"),
)


def section(found: dict[str, Any], targets: list[dict[str, Any]]) -> str:
    """The rows missed, the kernels of the largest of each kind, and many seeds."""
    missed = {record["row"] for record in targets if not record["passed"]}
    cases = [case for case in found["cases"] if case["row"] in missed]
    arrays = sum(len(names) for both in PASSES.values() for names in both)
    parts = [
        f"""## Where the time goes

The missed rows in detail. *Kernels* are the fused loops, products and copies that XLA made of a
step, *one function* says whether it could join them into one. *Bytes* are those that they read and
write of arrays at least a quarter as large as the recurrent weights; the C loop reads or writes
such an array {arrays} times a step, in {len(PASSES)} passes. Times are taken anew, in turn with the
floor and in one world.

{markdown(COLUMNS, [_line(case) for case in cases])}"""
    ]
    parts += [_kernels(case) for case in _largest(cases)]
    parts.append(_fixed(found["cases"]))
    if any("seeds, per agent" in row for row in missed):
        parts.append(_seeds(found["seeds"]))
    return "\n".join(part for part in parts if part)


def _line(case: dict[str, Any]) -> list[str]:
    without = [
        (_kilobytes(other["bytes"]), f"{other['ratio']:.2f} ×") for other in case["unclipped"]
    ]
    return [
        case["row"],
        str(case["kernels"]),
        str(case["copies"]),
        "yes" if case["whole"] else "no",
        _kilobytes(case["bytes"]),
        _kilobytes(case["floor_bytes"]),
        f"{case['bytes'] / case['floor_bytes']:.2f} ×",
        f"{case['ratio']:.2f} ×",
        *(without or [("", "")])[0],
    ]


def _largest(cases: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The last case of each kind; they grow."""
    return list({case["row"].partition(",")[0]: case for case in cases}.values())


def _kernels(case: dict[str, Any]) -> str:
    columns = ("kernel", "", "reads", "writes", "share of the bytes")
    rows = [
        [
            kernel["name"],
            kernel["kind"],
            *(", ".join(kernel[both]) for both in ("reads", "writes")),
            f"{kernel['bytes'] / case['bytes']:.0%}",
        ]
        for kernel in case["listed"]
        if kernel["bytes"] >= 0.005 * case["bytes"]
    ]
    small = case["kernels"] - len(case["listed"])
    return f"""{case["row"]}: the kernels that go through such arrays, in order, less those of few
bytes. Another {small} go through none.

{markdown(columns, rows)}"""


def _fixed(cases: list[dict[str, Any]]) -> str:
    small = [case for case in cases if case["row"].endswith("n = 2")]
    if not small:
        return ""
    columns = ("", "a step", "floor", "")
    rows = [
        [case["row"], f"{case['us']:.2f} µs", f"{case['floor_us']:.2f} µs", case["against"]]
        for case in small
    ]
    return f"""With two units there is hardly a weight. What is left of a step is its world, its
random numbers and its many small kernels, which larger agents have too; the C loop has neither
world nor random numbers.

{markdown(columns, rows)}"""


def _seeds(found: dict[str, Any]) -> str:
    columns = (f"{found['count']} seeds", "time per agent", "to one alone")
    rows = [["one alone", f"{found['alone']:.2f} µs", ""]]
    for how in ("in turn", "side by side"):
        cost = found[how]
        rows.append([how, f"{cost['us']:.2f} µs", f"{cost['ratio']:.2f} ×"])
    held = _kilobytes(found["bytes"])
    return f"""Many seeds live one after the other: an agent among them costs what it costs alone,
and so its ratio to the C loop is that of one agent. Side by side, each kernel goes through the
arrays of {found["count"]} agents, each of {held}, before the next one does.

{markdown(columns, rows)}"""


def _kilobytes(count: int) -> str:
    return f"{count / 1000:,.1f} kB"
