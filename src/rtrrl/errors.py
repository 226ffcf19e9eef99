"""Errors that a user can cause and fix; each message is one line that says how."""

import difflib
from collections.abc import Iterable

MAX_LISTED_NAMES = 40


class RtrrlError(Exception):
    """A mistake in the use of rtrrl; the command prints the message alone and exits with 2."""


class UnknownNameError(RtrrlError, ValueError):
    """A name that does not exist; the message suggests the most similar ones."""

    def __init__(self, kind: str, name: str, valid: Iterable[str]):
        self.kind = kind
        valid = sorted(valid)
        lower = {candidate.lower(): candidate for candidate in valid}
        similar = difflib.get_close_matches(name.lower(), lower, n=3, cutoff=0.4)
        if similar:
            suggestion = f"did you mean {', '.join(lower[match] for match in similar)}?"
        else:
            more = ["…"] if len(valid) > MAX_LISTED_NAMES else []
            suggestion = f"choose from {', '.join(valid[:MAX_LISTED_NAMES] + more)}"
        super().__init__(f"unknown {kind} '{name}': {suggestion}")


class UnsupportedCellError(RtrrlError, TypeError):
    """A gradient rule that cannot be applied to a cell."""


class UnsupportedSpaceError(RtrrlError, TypeError):
    """An observation or action space that no agent supports."""


class NonFiniteError(RtrrlError, FloatingPointError):
    """NaN or infinity from the environment or in the agent."""


class RunFolderError(RtrrlError):
    """A run folder that cannot be written, read or resumed."""
