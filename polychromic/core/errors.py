"""The errors a user can meet: one line each, saying what, where, and what is allowed.

Children are also the standard type a caller would expect to catch.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager


class PolychromicError(Exception):
    """The root of every error this package raises on purpose; ``exit_code`` is the command's exit status."""

    exit_code = 1


class InputError(PolychromicError, ValueError):
    """The user's input cannot be used (a file, a row, an argument): exit status 2."""

    exit_code = 2


class SettingsError(InputError):
    """A configuration key or value is wrong; the message starts with ``file:line: key.path:``."""


class RecordError(InputError):
    """A row of a data file is wrong; the message starts with ``file:line:`` and never echoes the row."""


class MissingResourceError(InputError, FileNotFoundError):
    """A model, adapter, encoder, dataset or optional package is not to be had; the message says how to get it."""


class UnsoundObjectiveError(InputError):
    """The settings would make the diversity gradient wrong (truncated sampling, too small a group, no verifier)."""


class BudgetError(PolychromicError):
    """The money is spent: what was done is saved, and a larger ``tracking.budget`` continues it. Exit status 3."""

    exit_code = 3


class PublishError(PolychromicError):
    """Results are whole on this machine and could not be sent elsewhere."""


class EngineError(PolychromicError, RuntimeError):
    """A generation engine failed after its retries."""


class SandboxError(PolychromicError, RuntimeError):
    """The sandbox could not be trusted, so nothing was run in it."""


class NumericalError(PolychromicError, ArithmeticError):
    """A loss, gradient or logit stopped being a finite number too often."""


class SaidByAnotherRankError(PolychromicError):
    """This rank ends after another that has shown its error: with a like status, and nothing to say."""

    def __init__(self, error: BaseException) -> None:
        super().__init__(str(error))
        self.exit_code = getattr(error, "exit_code", 1)


class DiskError(PolychromicError, OSError):
    """The disk is full, or a quota is: what was saved before is whole."""


@contextmanager
def at_fault(place: str, kind: type[InputError] = InputError) -> Iterator[None]:
    """Within it what a library raises is its word on the user's input: one line that begins with ``place``.

    Errors of ours, a file system that fails, memory that is short and a package that is missing speak for themselves.
    """
    try:
        yield
    except (PolychromicError, MemoryError, ModuleNotFoundError):
        raise
    except Exception as error:
        if getattr(error, "errno", None) is not None or type(error).__name__ == "OutOfMemoryError":
            raise
        words = (str(error).strip().splitlines() or [""])[0]
        told = isinstance(error, OSError | ValueError | RuntimeError) and words
        raise kind(f"{place}: {words if told else f'{type(error).__name__} {words}'.strip()}") from error
