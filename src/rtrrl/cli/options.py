"""Settings of an agent as options of the command line: `--agent.optimizer.clip 0.5`."""

import argparse
import ast
import dataclasses
import functools
import inspect
import itertools
import textwrap
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar

import equinox as eqx

from rtrrl.agents.parts import set_path
from rtrrl.cli.parsing import Parser

Module = TypeVar("Module", bound=eqx.Module)

FIXED = ("task", "observation_size", "num_actions")
"""Fields of an agent and its policy that follow from the environment."""

PREFIX = "--agent."


@dataclasses.dataclass(frozen=True)
class Setting:
    """A field of an agent, or of one of its parts, that an option changes."""

    path: str
    value: bool | int | float | str
    kind: type
    description: str

    @property
    def option(self) -> str:
        """The name of the option, `--agent.PATH`."""
        return PREFIX + self.path.replace("_", "-")


def settings(module: eqx.Module, path: str = "") -> Iterator[Setting]:
    """The settings of an agent, then those of its parts; arrays over seeds are left out."""
    described, parts = _descriptions(type(module)), {}
    for field in dataclasses.fields(module):
        value, here = getattr(module, field.name), f"{path}{field.name}"
        if field.name in FIXED:
            continue
        if isinstance(value, eqx.Module):
            parts[here] = value
        elif isinstance(value, bool | int | float | str):
            # a float may have been given as an int
            kind = float if field.type in (float, "float") else type(value)
            yield Setting(here, value, kind, described.get(field.name, ""))
    for here, part in parts.items():
        yield from settings(part, f"{here}.")


def split(args: Sequence[str]) -> tuple[list[str], list[str]]:
    """Plain arguments, and settings `--agent.x VALUE` as `--agent.x=VALUE`.

    They are separated before anything is parsed, so that no value is taken for the task.

    >>> split(["TMaze-3", "--agent.cell.hidden-size", "8", "--steps", "9", "--agent.gamma=0.9"])
    (['TMaze-3', '--steps', '9'], ['--agent.cell.hidden-size=8', '--agent.gamma=0.9'])
    """
    plain, nested, rest = [], [], list(args)
    while rest:
        token = rest.pop(0)
        name, equals, _ = token.partition("=")
        if not (name.startswith("--") and "." in name):
            plain.append(token)
            continue
        has_next = bool(rest) and not rest[0].startswith("--")
        nested.append(token if equals or not has_next else f"{token}={rest.pop(0)}")
    return plain, nested


def change(agent: Module, nested: Sequence[str]) -> Module:
    """The agent with other settings. **Raises** `RtrrlError` in one line."""
    if not nested:
        return agent
    for path, value in vars(_parser(agent).parse(nested)).items():
        agent = set_path(agent, path, value)
    return agent


def help_for(agent: eqx.Module) -> str:
    """Every setting with its description and value, for a terminal."""
    return _parser(agent).format_help()


def _parser(agent: eqx.Module) -> Parser:
    parser = Parser("train", usage=argparse.SUPPRESS, add_help=False)
    by_part = itertools.groupby(settings(agent), lambda setting: setting.path.rpartition(".")[0])
    for part, members in by_part:
        group = parser.add_argument_group(f"agent.{part}" if part else "agent")
        for setting in members:
            shown = setting.value if setting.kind is not float else f"{setting.value:.6g}"
            text = f"{setting.description.removesuffix('.')} (default: {shown})".strip()
            group.add_argument(
                setting.option,
                dest=setting.path,
                metavar=setting.kind.__name__.upper(),
                type=_TYPES[setting.kind],
                default=argparse.SUPPRESS,
                help=text.replace("%", "%%"),
            )
    return parser


def _number(kind: Callable[[str], Any], expected: str) -> Callable[[str], Any]:
    def parse(text: str) -> Any:
        try:
            return kind(text)
        except (ValueError, KeyError):
            raise argparse.ArgumentTypeError(f"'{text}' is not {expected}") from None

    return parse


_TYPES: dict[type, Callable[[str], Any]] = {
    bool: _number(
        lambda text: {"true": True, "false": False}[text.lower()], "a truth value: True or False"
    ),
    int: _number(int, "a whole number"),
    float: _number(float, "a number"),
    str: str,
}


@functools.cache
def _descriptions(kind: type) -> dict[str, str]:
    """The docstrings below a class's fields, in one line each, inherited ones included."""
    found: dict[str, str] = {}
    for base in reversed(kind.__mro__):
        if not base.__module__.startswith(("builtins", "equinox", "abc", "typing")):
            found |= _own_descriptions(base)
    return found


def _own_descriptions(kind: type) -> dict[str, str]:
    try:
        tree = ast.parse(textwrap.dedent(inspect.getsource(kind)))
    except (OSError, TypeError):  # defined where there is no source file
        return {}
    (definition,) = tree.body
    assert isinstance(definition, ast.ClassDef)
    found = {}
    for node, following in zip(definition.body, definition.body[1:], strict=False):
        match node, following:
            case (
                ast.AnnAssign(target=ast.Name(id=name)),
                ast.Expr(value=ast.Constant(value=str(text))),
            ):
                found[name] = " ".join(text.split())
    return found
