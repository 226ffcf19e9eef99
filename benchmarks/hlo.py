"""The kernels of a compiled loop, read from the text of its optimized HLO.

`Compiled.cost_analysis` does not serve: it adds what runs once, around the loop, and counts the
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

    def called(self, attribute: str) -> str:
        """The (first) computation that an attribute names."""
        found = re.search(rf"\b{attribute}={{?%([^\s,}}]+)", self.attributes)
        assert found, f"{self.name} has no {attribute}"
        return found[1]


Computation = dict[str, Instruction]
"""Instructions by name; the last one is the root."""


class Kernel(NamedTuple):
    """One fused loop, product or copy."""

    name: str
    opcode: str
    bytes: int
    """Bytes read and written, of arrays of a given size or more."""


def size(shape: str) -> int:
    """Bytes of an array, or of all arrays of a tuple.

    >>> size("(f32[2,3]{1,0}, pred[])"), size("bf16[4]{0}")
    (25, 8)
    """
    arrays = re.findall(r"([a-z]+)(\d*)\[([\d,]*)\]", shape)
    return sum(
        math.prod(map(int, filter(None, sides.split(",")))) * (int(bits) // 8 if bits else 1)
        for _, bits, sides in arrays
    )


def kernels(text: str, least: int) -> list[Kernel]:
    """The kernels of the longest loop body, with the bytes of arrays of `least` bytes or more.

    Of a branch, only the first alternative is listed: the one that most steps take.
    """
    program = _computations(text)
    loops = [i for c in program.values() for i in c.values() if i.opcode == "while"]
    body = max((program[loop.called("body")] for loop in loops), key=len)
    return _kernels(program, body, least)


def _computations(text: str) -> dict[str, Computation]:
    found: dict[str, Computation] = {}
    here: Computation = {}
    for line in re.sub(r"/\*.*?\*/|, metadata=.*", "", text).splitlines():
        if head := re.match(r"(?:ENTRY )?%(\S+) .*\{$", line):
            here = found[head[1]] = {}
        elif match := INSTRUCTION.match(line):
            here[match[1]] = Instruction(*match.groups())
    return found


def _kernels(program: dict[str, Computation], here: Computation, least: int) -> list[Kernel]:
    found = []
    for i in here.values():
        if i.opcode == "conditional":
            found += _kernels(program, program[i.called("branch_computations")], least)
        elif i.opcode not in NO_KERNEL:
            found.append(Kernel(i.name, i.opcode, _bytes(program, here, i, least)))
    return found


def _bytes(program: dict[str, Computation], here: Computation, i: Instruction, least: int) -> int:
    operands = dict.fromkeys(re.findall(r"%([^\s,)]+)", i.operands))
    arrays = [i.shape, *(here[name].shape for name in operands)]
    root = list(program[i.called("calls")].values())[-1] if i.opcode == "fusion" else i
    if root.opcode in IN_PLACE:  # reads the update; reads and writes as much of the array
        arrays = [shape for shape in arrays if shape != i.shape] * 3
    return sum(size(shape) for shape in arrays if size(shape) >= least)
