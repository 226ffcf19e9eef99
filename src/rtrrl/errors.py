"""Errors that a user can cause and fix; each message is one line that says how."""

import copyreg
import difflib
import os
import traceback
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rtrrl.runs.run import Run

MAX_LISTED_NAMES = 40


def described(error: Exception) -> str:
    """An error of other code in one line: its type, the first line of its message, its place."""
    if isinstance(error, RtrrlError):
        return str(error)
    message = str(error).strip().partition("\n")[0]
    return f"{type(error).__name__}: {message}{location(error)}"


def location(error: Exception) -> str:
    """Where in the user's code an error arose, as in " (mine.py, line 3)"; empty if unknown."""
    library = os.path.dirname(__file__)
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        file = os.path.abspath(frame.filename)
        ours = file.startswith(library + os.sep) or "site-packages" in file
        if os.path.isfile(file) and not ours:
            return f" ({os.path.basename(file)}, line {frame.lineno})"
    return ""


class RtrrlError(Exception):
    """A mistake in the use of rtrrl; the command prints the message alone and exits with 2."""

    def __reduce__(self) -> tuple[Any, ...]:
        """Unpickled without `__init__`, whose arguments need not be the message."""
        return copyreg.__newobj__, (type(self), *self.args), self.__dict__  # pyright: ignore[reportAttributeAccessIssue]


class UnknownNameError(RtrrlError, ValueError):
    """A name that does not exist; the message suggests the most similar ones.

    `own` says in Python's terms how to add a name; the command says it in others.
    """

    def __init__(self, kind: str, name: str, valid: Iterable[str], own: str = ""):
        self.kind = kind
        valid = sorted(valid)
        lower = {candidate.lower(): candidate for candidate in valid}
        similar = difflib.get_close_matches(name.lower(), lower, n=3, cutoff=0.4)
        if similar:
            suggestion = f"did you mean {', '.join(lower[match] for match in similar)}?"
        else:
            more = ["…"] if len(valid) > MAX_LISTED_NAMES else []
            suggestion = f"choose from {', '.join(valid[:MAX_LISTED_NAMES] + more)}"
        self.message = f"unknown {kind} '{name}': {suggestion}"
        super().__init__(f"{self.message} ({own})" if own else self.message)


class SettingError(RtrrlError, ValueError):
    """A setting that is not of its type, or out of its range."""


class UnsupportedCellError(RtrrlError, TypeError):
    """A gradient rule that cannot be applied to a cell."""


class UnsupportedSpaceError(RtrrlError, TypeError):
    """An observation or action space that no agent supports."""


class NonFiniteError(RtrrlError, FloatingPointError):
    """NaN or infinity from the environment or in the agent."""


class RunFolderError(RtrrlError):
    """A run folder that cannot be written, read or resumed."""


class TrainingInterrupted(KeyboardInterrupt):
    """Ctrl-C during training, which has saved everything; a loop over runs ends with it.

    `run` is the run up to there, with the agents as they are.
    """

    def __init__(self, run: "Run"):
        self.run = run
        go_on = f"; continue with rtrrl.resume({str(run.folder)!r})" if run.folder else ""
        super().__init__(f"interrupted at step {run.agents().step:,}{go_on}")


class RtrrlWarning(UserWarning):
    """What a user should know of a result; the command prints the message alone."""
