"""The argument parser of all commands, whose errors are `RtrrlError`s of one line."""

import argparse
import json
from collections.abc import Callable, Iterable, Sequence
from decimal import Decimal
from typing import Any, NoReturn

from rtrrl.errors import RtrrlError, UnknownNameError

MOST = 2_000_000_000
"""The largest number of steps, which are counted in 32 bits."""


class Parser(argparse.ArgumentParser):
    """argparse without abbreviations, with errors as exceptions."""

    def __init__(self, command: str, description: str | None = None, **settings: Any):
        super().__init__(
            prog=f"rtrrl {command}",
            description=description,
            formatter_class=_Help,
            allow_abbrev=False,
            **settings,
        )
        self._positionals.title, self._optionals.title = "arguments", "options"

    def error(self, message: str) -> NoReturn:
        """**Raises** `RtrrlError`, which `main` prints."""
        message = message.removeprefix("argument ")
        raise RtrrlError(f"{message}; see {self.prog} --help")

    def parse(
        self, args: Sequence[str], more_options: Callable[[], Iterable[str]] = tuple
    ) -> argparse.Namespace:
        """The arguments; `more_options` are further names to suggest where an option is unknown.

        **Raises** `RtrrlError`, with the nearest valid names for an unknown option.
        """
        parsed, unknown = self.parse_known_args(args)
        for token in unknown:
            if token.startswith("-"):
                name = token.partition("=")[0]
                own = [name for name in self._option_string_actions if name.startswith("--")]
                raise UnknownNameError("option", name, [*own, *more_options()])
        if unknown:
            self.error(f"one argument too many: '{unknown[0]}'")
        return parsed


class _Help(argparse.HelpFormatter):
    def __init__(self, prog: str):
        super().__init__(prog, max_help_position=26)

    def _format_action_invocation(self, action: argparse.Action) -> str:
        # `--out DIR` once, and `-h, --help` as everywhere
        if not action.option_strings or action.nargs == 0:
            return super()._format_action_invocation(action)
        return f"{', '.join(action.option_strings)} {self._format_args(action, action.dest)}"


def whole(least: int, most: int = MOST) -> Callable[[str], int]:
    """The type of an option that takes a whole number from `least` to `most`.

    >>> [whole(1)(text) for text in ("20_000", "2e4")]
    [20000, 20000]
    """

    def number(text: str) -> int:
        """Parse a whole number."""
        try:
            value = Decimal(text)
            if least <= value <= most and value == int(value):
                return int(value)
        except (ArithmeticError, ValueError):  # not a number, or not finite
            pass
        raise argparse.ArgumentTypeError(f"'{text}' is not a whole number from {least} to {most:,}")

    return number


SEED = whole(0, 2**32 - 1)
"""The type of an option that takes a seed."""


def json_object(text: str) -> dict[str, Any]:
    """The type of an option that takes a JSON object.

    >>> json_object('{"size": 8}')
    {'size': 8}
    """
    try:
        value = json.loads(text)
    except ValueError:
        value = None
    if not isinstance(value, dict):
        raise argparse.ArgumentTypeError(
            f"'{text}' is not a JSON object, such as '{{\"size\": 8}}'"
        )
    return value


def add_common(parser: argparse._ActionsContainer) -> None:
    """Add the options of every command; `main` has handled --import already."""
    parser.add_argument("--json", action="store_true", help="print JSON and nothing else")
    parser.add_argument(
        "--import",
        metavar="MODULE",
        dest="modules",
        action="append",
        help="import a module or a .py file first, which registers names of its own",
    )


def print_json(value: Any) -> None:
    """Print a value as JSON.

    **Raises** `ValueError` for NaN and infinity, which JSON cannot hold.
    """
    print(json.dumps(value, indent=2, allow_nan=False))
