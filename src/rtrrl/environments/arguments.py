"""Constructor arguments as a part of an environment's name: `gymnasium/GridWorld-v0(size=8)`.

What makes an environment from its name then makes the same one again: a run that is resumed, `rtrrl
eval`, a film; and two runs that differ in an argument have different tasks.
"""

import ast
import inspect
import keyword
import re
from collections.abc import Callable, Mapping
from typing import Any

from rtrrl.errors import RtrrlError, UnknownNameError


def with_arguments(name: str, arguments: Mapping[str, Any]) -> str:
    """The name with these arguments, which replace those that it has, in alphabetical order.

    >>> with_arguments("gymnasium/GridWorld-v0(size=5)", {"size": 8, "mode": "easy"})
    "gymnasium/GridWorld-v0(mode='easy', size=8)"

    **Raises** `RtrrlError` for a value that is not plain data.
    """
    base, present = split_arguments(name)
    merged = sorted((present | dict(arguments)).items())
    for key, value in merged:
        if not key.isidentifier() or keyword.iskeyword(key) or not _is_plain(value):
            raise RtrrlError(
                f"the argument {key}={value!r:.60} of '{base}' cannot be a part of its name: "
                "expected numbers, strings, True, False, None, or lists and dicts of them; or pass "
                "a function that makes the environment"
            )
    return f"{base}({', '.join(f'{key}={value!r}' for key, value in merged)})" if merged else base


def split_arguments(name: str) -> tuple[str, dict[str, Any]]:
    """The name before the parentheses, and the arguments in them; nothing is executed.

    >>> split_arguments("gymnasium/GridWorld-v0(mode='easy', size=8)")
    ('gymnasium/GridWorld-v0', {'mode': 'easy', 'size': 8})

    A name without arguments, such as that of a wrapped environment, is returned as it is.
    """
    match = re.fullmatch(r"([^()]+)\((.+)\)", name)
    if match is None:
        return name, {}
    try:
        call = ast.parse(f"_({match[2]})", mode="eval").body
        assert isinstance(call, ast.Call)
        found = {str(each.arg): ast.literal_eval(each.value) for each in call.keywords if each.arg}
    except (SyntaxError, ValueError):
        return name, {}
    complete = len(found) == len(call.args) + len(call.keywords)
    return (match[1], found) if complete else (name, {})


def check_arguments(
    function: Callable[..., Any],
    arguments: Mapping[str, Any],
    name: str,
    also: tuple[str, ...] = (),
) -> None:
    """**Raises** `UnknownNameError` for an argument that is not the function's, nor in `also`."""
    kinds = parameters(function)
    if not kinds or inspect.Parameter.VAR_KEYWORD in kinds.values():
        return
    for key in arguments:
        if key not in (*kinds, *also):
            raise UnknownNameError(f"argument of '{name}'", key, [*kinds, *also])


def parameters(function: Callable[..., Any]) -> dict[str, Any]:
    """The kinds of a function's parameters by name; none where Python cannot inspect it."""
    try:
        found = inspect.signature(function).parameters
    except (TypeError, ValueError):
        return {}
    return {name: parameter.kind for name, parameter in found.items()}


def _is_plain(value: Any) -> bool:
    """Whether the value can be read back from its representation."""
    try:
        return bool(ast.literal_eval(repr(value)) == value)
    except (SyntaxError, ValueError):
        return False
