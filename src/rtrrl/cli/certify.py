"""`rtrrl certify`: how exact each cell's gradient is under each rule, measured."""

from collections.abc import Mapping, Sequence
from typing import TypeVar

from rich.console import Console

from rtrrl.cells import CELLS
from rtrrl.cli.parsing import Parser, add_common, print_json
from rtrrl.errors import UnknownNameError
from rtrrl.gradients import RULES
from rtrrl.gradients.certificates import as_table, certify_all
from rtrrl.utils.compilation_cache import use_compilation_cache

Named = TypeVar("Named")


def run(args: Sequence[str]) -> int:
    """Measure the given cell and rule, or all of them, and print a table."""
    given = _parser().parse(args)
    use_compilation_cache()
    cells = _chosen("cell", given.cell, CELLS)
    rules = _chosen("rule", given.rule, RULES)
    rows = []
    with Console(stderr=True).status("measuring") as status:
        for name, config in cells.items():
            status.update(f"measuring {name}")
            rows += certify_all({name: config}, rules)
    if given.json:
        print_json(rows)
    else:
        Console().print(as_table(rows))
    return 0


def _parser() -> Parser:
    parser = Parser(
        "certify",
        "Measure the gradient of every cell under every rule against backpropagation\n"
        "through the unrolled sequence, in float64, over episodes of several lengths.",
    )
    parser.add_argument("--cell", metavar="NAME", help=f"only this one: {', '.join(CELLS)}")
    parser.add_argument("--rule", metavar="NAME", help=f"only this one: {', '.join(RULES)}")
    add_common(parser)
    return parser


def _chosen(kind: str, name: str | None, names: Mapping[str, Named]) -> Mapping[str, Named]:
    if name is None:
        return names
    if name not in names:
        raise UnknownNameError(kind, name, names)
    return {name: names[name]}
