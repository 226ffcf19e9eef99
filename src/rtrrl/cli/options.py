"""From flags to an agent: a preset or a former run's, then parts by name, then single settings."""

import argparse
import contextlib
import dataclasses
import io
import re
from collections.abc import Sequence
from typing import Any, TypeVar

import equinox as eqx
import tyro
from tyro.constructors import ConstructorRegistry, StructConstructorSpec, StructTypeInfo

from rtrrl.agents import Agent
from rtrrl.agents.parts import PARTS, chosen
from rtrrl.errors import RtrrlError, UnknownNameError

Module = TypeVar("Module", bound=eqx.Module)


OF_THE_TASK = ("task", "observation_size", "num_actions")
"""Fields of an agent and its policy that follow from the task and are no settings."""


def choose(agent: Agent, given: argparse.Namespace) -> Agent:
    """The agent with the parts that the flags name."""
    return chosen(agent, {part.flag: getattr(given, part.flag) for part in PARTS})


def split(args: Sequence[str]) -> tuple[list[str], list[str]]:
    """Plain arguments, and the nested settings `--agent.x VALUE` or `--agent.x=VALUE`.

    Parted before anything is parsed, so that no value can pass for the task.

    >>> split(["TMaze-3", "--agent.cell.hidden-size", "8", "--steps", "9", "--agent.gamma=0.9"])
    (['TMaze-3', '--steps', '9'], ['--agent.cell.hidden-size', '8', '--agent.gamma=0.9'])
    """
    plain, nested, rest = [], [], list(args)
    while rest:
        token = rest.pop(0)
        name, equals, _ = token.partition("=")
        if not (name.startswith("--") and "." in name):
            plain.append(token)
            continue
        nested.append(token)
        if not equals and rest and not rest[0].startswith("--"):
            nested.append(rest.pop(0))
    return plain, nested


def change(agent: Module, nested: Sequence[str]) -> Module:
    """The agent with single settings changed. **Raises** `RtrrlError` in one line."""
    if not nested:
        return agent
    said = _paper()
    try:
        with contextlib.redirect_stderr(said):
            holder, unknown = _cli(agent, nested, return_unknown_args=True)
    except SystemExit as stop:
        raise RtrrlError(_one_line(_read(said))) from stop
    for token in unknown:
        raise UnknownNameError("option", token.partition("=")[0], option_names(agent))
    return holder.agent


def help_for(agent: eqx.Module) -> str:
    """Every setting of the agent with its description and value, for a terminal."""
    said = _paper()
    with contextlib.redirect_stdout(said), contextlib.suppress(SystemExit):
        _cli(agent, ["--help"])
    return _unboxed(_read(said)).partition("agent:\n")[2] or "  none\n"


def option_names(module: eqx.Module, prefix: str = "--agent") -> list[str]:
    """`--agent.gamma` and so on: every setting that an agent like this has."""
    names = []
    for field in dataclasses.fields(module):
        name, value = f"{prefix}.{field.name.replace('_', '-')}", getattr(module, field.name)
        if not _is_option(field.name, value):
            continue
        names += option_names(value, name) if isinstance(value, eqx.Module) else [name]
    return names


def _is_option(name: str, value: Any) -> bool:
    """Not what follows from the task, nor an array with one entry per seed."""
    return name not in OF_THE_TASK and isinstance(value, bool | int | float | str | eqx.Module)


def _cli(agent: eqx.Module, args: Sequence[str], **how: Any) -> Any:
    holder = dataclasses.make_dataclass("Settings", [("agent", type(agent))])
    # a flag always takes a value, `--agent.attenuate True`: `split` need not know which is which
    config = (tyro.conf.FlagConversionOff,)
    return tyro.cli(
        holder,
        prog="rtrrl train",
        args=args,
        default=holder(agent),
        config=config,
        registry=_registry(),
        **how,
    )


def _registry() -> ConstructorRegistry:
    """tyro's own reading of a dataclass, less the fields that are no options."""
    registry, inside = ConstructorRegistry(), []

    @registry.struct_rule
    def module(info: StructTypeInfo) -> StructConstructorSpec | None:
        default = info.default
        if not isinstance(default, eqx.Module) or any(default is each for each in inside):
            return None
        inside.append(default)  # the next line asks this rule again
        spec = ConstructorRegistry.get_struct_spec(info)
        inside.pop()
        assert isinstance(spec, StructConstructorSpec)

        def changed(**fields: Any) -> eqx.Module:
            return dataclasses.replace(default, **fields)

        changed.__doc__ = (type(default).__doc__ or "").partition("\n")[0]
        fields = tuple(field for field in spec.fields if _is_option(field.name, field.default))
        return StructConstructorSpec(changed, fields)

    return registry


def _paper() -> io.TextIOWrapper:
    # with an encoding, by which tyro chooses how to draw its boxes
    return io.TextIOWrapper(io.BytesIO(), encoding="utf-8")


def _read(said: io.TextIOWrapper) -> str:
    said.seek(0)
    return said.read()


def _unboxed(boxes: str) -> str:
    """tyro's help in the style of argparse's: a heading where a box began, no frames."""
    lines = []
    for line in boxes.splitlines():
        if heading := re.fullmatch("╭─ (.*) options ─+╮", line):
            lines += ["", f"{heading[1]}:"]
        elif line.startswith("│") and not line.startswith("│ ──"):
            lines.append(f"  {line.strip('│').strip('─')[1:].rstrip()}".rstrip())
    return "\n".join(lines) + "\n"


def _one_line(box: str) -> str:
    """What one of tyro's boxes says, without the box, its title and the advice below."""
    text = " ".join(re.sub("[╭─╮│╰╯]", " ", box).split())
    text = re.split(" Argument helptext:| For full helptext| Full helptext", text)[0]
    text = re.sub("^((Value|Parsing) error|Invalid choice) (Error parsing )?", "", text).rstrip(".")
    return f"{text}; see rtrrl train --help"
