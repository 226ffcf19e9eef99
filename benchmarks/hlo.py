"""What a compiled loop does at every turn, read from the text of its optimised HLO."""

import itertools
import math
import re
from collections.abc import Iterable
from typing import NamedTuple

SLICES = ("slice", "dynamic-slice", "gather")
UPDATES = {"dynamic-update-slice": 1, "scatter": 2}
"""What changes its first operand in place, and which operand it puts there."""


class Instruction(NamedTuple):
    """One line of a program."""

    name: str
    shape: str
    opcode: str
    operands: tuple[str, ...]
    rest: str
    """What follows: a parameter's number, attributes."""

    def number(self) -> int:
        """Which parameter or element this is."""
        found = re.search(r"\d+", self.rest)
        assert found
        return int(found[0])

    def called(self, attribute: str) -> str:
        """The (first) computation that an attribute names."""
        found = re.search(rf"\b{attribute}={{?%([^\s,}}]+)", self.rest)
        assert found, f"{self.name} has no {attribute}"
        return found[1]


Computation = dict[str, Instruction]
"""Instructions by name; the last one is the root."""


class Kernel(NamedTuple):
    """What is computed in one go: the large arrays it goes through, and their bytes."""

    name: str
    kind: str
    """Its opcode, or "library" where it is a call to one."""
    reads: dict[str, int]
    writes: dict[str, int]

    @property
    def bytes(self) -> int:
        """All of them."""
        return sum(self.reads.values()) + sum(self.writes.values())


def size(shape: str) -> int:
    """Bytes of an array, or of all arrays of a tuple.

    >>> size("(f32[2,3]{1,0}, pred[])"), size("bf16[4]{0}")
    (25, 8)
    """
    arrays = re.findall(r"(\w+)\[([\d,]*)\]", shape)
    return sum(math.prod(int(n) for n in sides.split(",") if n) * _width(t) for t, sides in arrays)


def _width(kind: str) -> int:
    bits = re.search(r"\d+", kind)
    return int(bits[0]) // 8 if bits else 1


def computations(text: str) -> dict[str, Computation]:
    """Every function of a program."""
    found: dict[str, Computation] = {}
    here: Computation = {}
    for line in re.sub(r"/\*.*?\*/", "", text).splitlines():
        if head := re.match(r"(?:ENTRY )?%(\S+) .*\{$", line):
            here = found[head[1]] = {}
        elif body := re.match(r"  (?:ROOT )?%(\S+) = (.*)$", line):
            here[body[1]] = _instruction(body[1], body[2])
    return found


def _instruction(name: str, text: str) -> Instruction:
    end = _closing(text) if text.startswith("(") else text.index(" ")
    shape, text = text[:end], text[end:].lstrip()
    opcode, text = text[: text.index("(")], text[text.index("(") :]
    end = _closing(text)
    operands = tuple(re.findall(r"%([^\s,)]+)", text[:end]))
    rest = text if opcode == "parameter" else text[end:]
    return Instruction(name, shape, opcode, operands, rest.partition(", metadata=")[0])


def _closing(text: str) -> int:
    """The end of the parenthesis that the text begins with."""
    depths = itertools.accumulate((c == "(") - (c == ")") for c in text)
    return next(at for at, depth in enumerate(depths, 1) if depth == 0)


def _root(computation: Computation) -> Instruction:
    return list(computation.values())[-1]


def kernels(text: str, least: int) -> list[Kernel]:
    """The kernels of the loop's body, with what they read and write of `least` bytes or more.

    The loop is the one with the longest body. Of a branch in it, the first alternative is
    listed: the one of ordinary turns. What the loop carries is called by the name that the
    program's caller gave it, what is made on the way "temporary".
    """
    program = computations(text)
    loops = [i for c in program.values() for i in c.values() if i.opcode == "while"]
    body = max((program[loop.called("body")] for loop in loops), key=len)
    carried = _carried(program, body)
    listed, made = _flat(program, body, carried)
    return _measured(program, listed, dict(zip(made, carried, strict=True)), {*carried}, least)


def _carried(program: dict[str, Computation], body: Computation) -> list[str]:
    """The names of what the loop carries, from the tuple that enters it."""
    shape = next(i.shape for i in body.values() if i.opcode == "parameter")
    entering = [
        (c, i)
        for c in program.values()
        for i in c.values()
        if (i.opcode, i.shape) == ("tuple", shape) and c is not body
    ]
    computation, entry = entering[-1]  # the program's own function is its last
    names = [_origin(computation, name) for name in entry.operands]
    return [f"{name}:{at}" for at, name in enumerate(names)]  # no two alike


def _origin(computation: Computation, name: str) -> str:
    while computation[name].opcode in ("copy", "bitcast"):
        name = computation[name].operands[0]
    return name


Listed = tuple[Computation, Instruction, dict[str, str]]
"""A kernel, where it stands, and what its operands are called."""


def _flat(
    program: dict[str, Computation], here: Computation, given: list[str]
) -> tuple[list[Listed], list[str]]:
    """A computation's kernels in order, and what it gives; tuples and branches are seen through."""
    listed: list[Listed] = []
    names: dict[str, str] = {}
    elements: dict[str, list[str]] = {}
    for i in here.values():
        if i.opcode == "parameter":
            elements[i.name] = given
        elif i.opcode == "tuple":
            elements[i.name] = [names.get(o, o) for o in i.operands]
        elif i.opcode == "conditional":
            branch = program[i.called("branch_computations")]
            more, elements[i.name] = _flat(program, branch, elements[i.operands[1]])
            listed += more
        elif i.opcode == "get-tuple-element":
            whole = i.operands[0]
            known = elements.get(whole)
            names[i.name] = known[i.number()] if known else f"{whole}#{i.number()}"
        elif i.opcode == "bitcast":
            names[i.name] = names.get(i.operands[0], i.operands[0])
        elif i.opcode != "constant":
            listed.append((here, i, {o: names.get(o, o) for o in i.operands}))
    return listed, elements[_root(here).name]


def _measured(
    program: dict[str, Computation],
    listed: list[Listed],
    roles: dict[str, str],
    carried: set[str],
    least: int,
) -> list[Kernel]:
    for _, i, operands in reversed(listed):  # what is copied into its place has that place's name
        if i.opcode == "copy" and i.name in roles:
            roles.setdefault(operands[i.operands[0]], roles[i.name])
    roles |= {name: name for name in carried}

    def called(found: Iterable[tuple[str, int]]) -> dict[str, int]:
        named: dict[str, int] = {}
        for name, touched in found:
            if touched >= least:
                role = roles.get(name, "temporary").partition(":")[0]
                named[role] = named.get(role, 0) + touched
        return named

    made = []
    for here, i, operands in listed:
        inside = program[i.called("calls")] if i.opcode == "fusion" else None
        read = {operands[o]: _read(here, i, inside, o) for o in operands}
        kind = "library" if "kind=kCustom" in i.rest or i.opcode == "custom-call" else i.opcode
        made.append(Kernel(i.name, kind, called(read.items()), called(_written(here, i, inside))))
    return made


def _read(here: Computation, i: Instruction, inside: Computation | None, operand: str) -> int:
    """Bytes that a kernel reads of one operand."""
    whole = size(here[operand].shape)
    if inside is None:
        return _touched(here, [i], operand, whole)
    # the same array may be handed over several times; it is read once
    at = [k for k, name in enumerate(i.operands) if name == operand]
    parameters = [p for p in inside.values() if p.opcode == "parameter" and p.number() in at]
    return max(_touched(inside, inside.values(), p.name, whole) for p in parameters)


def _touched(here: Computation, users: Iterable[Instruction], name: str, whole: int) -> int:
    """Bytes of an array that some instructions read: a slice's are only its own."""
    total = 0
    for i in [i for i in users if name in i.operands]:
        if i.opcode == "bitcast":
            total += _touched(here, users, i.name, whole)
        elif i.opcode in SLICES and i.operands[0] == name:
            total += size(i.shape)
        elif i.opcode in UPDATES and i.operands[0] == name:
            total += size(here[i.operands[UPDATES[i.opcode]]].shape)
        else:
            return whole
    return min(total, whole)


def _written(
    here: Computation, i: Instruction, inside: Computation | None
) -> list[tuple[str, int]]:
    """What a kernel makes, and the bytes of it that it writes."""
    if inside is not None:
        here, root = inside, _root(inside)
    else:
        root = i
    if root.opcode != "tuple":
        return [(i.name, _changed(here, root))]
    return [(f"{i.name}#{k}", _changed(here, here[o])) for k, o in enumerate(root.operands)]


def _changed(here: Computation, i: Instruction) -> int:
    while i.opcode == "bitcast":
        i = here[i.operands[0]]
    changed = here[i.operands[UPDATES[i.opcode]]] if i.opcode in UPDATES else i
    return size(changed.shape)
