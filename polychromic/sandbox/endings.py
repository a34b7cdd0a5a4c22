"""How a program's answers end, and what is said of them in words."""

from __future__ import annotations

import builtins
import reprlib
from typing import Any

from polychromic.sandbox.nouns import Outcome

# What the confined side may say about itself; a claim to have passed is not among them.
SELF_REPORTED = {
    Outcome.EXCEPTION,
    Outcome.SYNTAX_ERROR,
    Outcome.MISSING_ENTRY_POINT,
    Outcome.IMPORT_ERROR,
    Outcome.MEMORY,
    Outcome.OUTPUT_LIMIT,
    Outcome.EXITED,
    Outcome.NOT_PLAIN_DATA,
    Outcome.WRONG_ANSWER,
}


ELSEWHERE = "in the larger zygote"
"""Detail of an import error that asks to be begun again there."""


class Ended(BaseException):
    """There will be no further answers."""

    def __init__(self, outcome: Outcome, detail: str) -> None:
        self.outcome, self.detail = outcome, detail


class BrokenError(RuntimeError):
    """The sandbox itself failed: nothing was learned about the program."""


def builtin_name(error: BaseException) -> str:
    """The name of an exception's class, or of the first built-in one that it derives from."""
    names = (kind.__name__ for kind in type(error).__mro__ if getattr(builtins, kind.__name__, None) is kind)
    return next(names, "Exception")


_SHORT = reprlib.Repr()
_SHORT.maxlist = _SHORT.maxtuple = _SHORT.maxdict = _SHORT.maxset = 12
_SHORT.maxstring = _SHORT.maxother = 80


def shown(value: Any) -> str:
    """A value in few characters."""
    try:
        return _SHORT.repr(value)
    except (ValueError, RecursionError, MemoryError):  # an int with too many digits, deep nesting
        return f"<{type(value).__name__}>"
