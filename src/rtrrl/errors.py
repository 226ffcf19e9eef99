"""What a user can do wrong, said in one line: what was wrong, what was expected, what to do."""

import difflib
from collections.abc import Iterable

MANY = 40
"""More names than this are not listed in a message."""


class RtrrlError(Exception):
    """A mistake that its message explains; the command line prints it alone and exits with 2."""


class UnknownNameError(RtrrlError, ValueError):
    """A name that nothing answers to; the message offers the nearest valid ones."""

    def __init__(self, kind: str, name: str, valid: Iterable[str], hint: str = ""):
        valid = sorted(valid)
        folded = {candidate.lower(): candidate for candidate in valid}
        near = difflib.get_close_matches(name.lower(), folded, n=3, cutoff=0.4)
        some = valid if len(valid) <= MANY else [*valid[:MANY], "…"]
        offer = ", ".join(folded[match] for match in near) or ", ".join(some)
        lead = "did you mean" if near else "choose from"
        super().__init__(f"unknown {kind} '{name}': {lead} {offer}?{hint and ' ' + hint}")


class UnsupportedCellError(RtrrlError, TypeError):
    """A gradient rule was asked to carry a cell that it does not fit."""


class UnsupportedSpaceError(RtrrlError, TypeError):
    """An observation or action space that no agent can handle."""


class NonFiniteError(RtrrlError, FloatingPointError):
    """NaN or infinity came from the environment or grew in the agent."""


class RunFolderError(RtrrlError):
    """A run's folder that cannot be written, read or resumed."""
