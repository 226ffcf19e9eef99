"""The kernels of a compiled loop, read from the text of its optimized HLO.

`Compiled.cost_analysis` is no substitute: it adds what runs once, around the loop, and counts the
whole of an array that is updated in place.
"""

import math
import re
from typing import NamedTuple

INSTRUCTION = re.compile(r"  (?:ROOT )?%(\S+) = (\(.*?\)|\S+) ([\w-]+)\((.*?)\)(.*)")
NO_KERNEL = ("parameter", "constant", "tuple", "get-tuple-element", "bitcast")
IN_PLACE = ("dynamic-update-slice", "scatter")


class Instruction(NamedTuple):
    """One line of a computation."""

    name: str
    shape: str
    opcode: str
    operands: str
    attributes: str


Computation = dict[str, Instruction]
"""Instructions by name; the last one is the root."""


class Kernel(NamedTuple):
    """One fused loop, product or copy, and the bytes of large arrays that it reads and writes."""

    name: str
    opcode: str
    bytes: int


def kernels(text: str, least: int) -> list[Kernel]:
    """The kernels of the longest loop body, with the bytes of arrays of `least` bytes or more.

    Of a branch, only the first alternative is listed: the one that most steps take.
    """
    program: dict[str, Computation] = {}
    computation: Computation = {}
    for line in re.sub(r"/\*.*?\*/|, metadata=.*", "", text).splitlines():
        if head := re.match(r"(?:ENTRY )?%(\S+) .*\{$", line):
            computation = program[head[1]] = {}
        elif match := INSTRUCTION.match(line):
            computation[match[1]] = Instruction(*match.groups())
    bodies = (program[name] for name in re.findall(r" while\(.* body=%([^\s,]+)", text))
    return _kernels(program, max(bodies, key=len), least)


def _kernels(program: dict[str, Computation], here: Computation, least: int) -> list[Kernel]:
    found = []
    for i in here.values():
        called = re.search(r"\b(?:calls=|branch_computations={)%([^\s,}]+)", i.attributes)
        if i.opcode == "conditional" and called:
            found += _kernels(program, program[called[1]], least)
        elif i.opcode not in NO_KERNEL:
            operands = dict.fromkeys(re.findall(r"%([^\s,)]+)", i.operands))
            arrays = [i.shape, *(here[name].shape for name in operands)]
            root = list(program[called[1]].values())[-1] if called else i
            if root.opcode in IN_PLACE:  # reads the update; reads and writes as much of the array
                arrays = [shape for shape in arrays if shape != i.shape] * 3
            found.append(Kernel(i.name, i.opcode, sum(n for n in map(size, arrays) if n >= least)))
    return found


def size(shape: str) -> int:
    """Bytes of an array, or of all arrays of a tuple.

    >>> size("(f32[2,3]{1,0}, pred[])"), size("bf16[4]{0}")
    (25, 8)
    """
    return sum(
        math.prod(map(int, filter(None, sides.split(",")))) * (int(bits) // 8 if bits else 1)
        for bits, sides in re.findall(r"[a-z]+(\d*)\[([\d,]*)\]", shape)
    )
