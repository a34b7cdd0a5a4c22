"""The program: runs a verb and turns every expected error into one line and an exit status.

0: done. 1: failed. 2: the user's input. 128 + n: stopped by signal n (130: Ctrl-C).
"""

from __future__ import annotations

import errno
import logging
import os
import signal
import sys
import warnings

import click

from polychromic.cli import commands
from polychromic.core import stopping
from polychromic.core.errors import PolychromicError, SaidByAnotherRankError
from polychromic.core.escaping import one_line, visible
from polychromic.core.extras import absent, brought_by_an_extra
from polychromic.core.secrets import redacted

_WRONG = ("ENOENT", "ENOTDIR", "EISDIR", "EACCES", "EPERM", "EROFS", "ENAMETOOLONG", "ELOOP")
NAMED_WRONG = {getattr(errno, name) for name in _WRONG}
"""What the system says when a file was named that cannot be used: the user's to mend."""

SMALLER = (
    "take fewer rows at once (training.per_device_train_batch_size, with more gradient_accumulation_steps; "
    "evaluation.batch_size) or shorter ones; what was saved is whole, and the same command continues"
)


def main(arguments: list[str] | None = None) -> None:
    """Runs the command line and exits with its status; ``--debug`` anywhere shows the traceback of an error."""
    given = sys.argv[1:] if arguments is None else arguments
    _speak()
    _quiet_libraries()
    debug = "--debug" in given or bool(os.environ.get("POLYCHROMIC_DEBUG"))
    sys.exit(run([argument for argument in given if argument != "--debug"], debug))


def run(arguments: list[str], debug: bool) -> int:
    """The exit status of a command line; errors are shown on stderr, in one line."""
    if not debug:
        warnings.simplefilter("ignore", FutureWarning)  # between the libraries, nothing a person here can act on
        warnings.showwarning = _warn
    try:
        with stopping.listening():
            status = commands.main(arguments, prog_name="polychromic", standalone_mode=False)
        return status if isinstance(status, int) else 0
    except click.UsageError as error:
        usage = f"{error.ctx.get_usage()}\n" if error.ctx else ""
        return _failed(error.format_message(), 2, usage)
    except click.ClickException as error:
        return _failed(error.format_message(), error.exit_code)
    except (KeyboardInterrupt, click.Abort) as error:
        number = getattr(error.__cause__ if isinstance(error, click.Abort) else error, "number", signal.SIGINT)
        reason = f"interrupted by {signal.Signals(number).name}"
        return _failed(f"{reason}; finished results are kept, and the same command continues", 128 + number)
    except Exception as error:
        if debug:
            raise
        return _explained(error)


def _quiet_libraries() -> None:
    """Leaves the screen to our own progress: no bars of other libraries in a log, no bars of datasets at all."""
    os.environ.setdefault("HF_DATASETS_DISABLE_PROGRESS_BARS", "1")
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    if not sys.stderr.isatty():
        os.environ.setdefault("TQDM_DISABLE", "1")
    # it says on every import which kernels it lacks, also where nothing is quantized
    logging.getLogger("bitsandbytes").setLevel(logging.ERROR)


class _Screen(logging.Handler):
    """What the package says as it goes, on stderr."""

    def emit(self, record: logging.LogRecord) -> None:
        """Shows one line."""
        click.echo(visible(redacted(record.getMessage())).replace("\n", " "), err=True)


def _speak() -> None:
    logger = logging.getLogger("polychromic")
    if not any(isinstance(handler, _Screen) for handler in logger.handlers):
        logger.addHandler(_Screen())
    logger.setLevel(logging.INFO)
    logger.propagate = False


def _warn(message: Warning | str, *_: object, **__: object) -> None:
    """Shows a warning in one line."""
    click.echo(f"polychromic: warning: {one_line(redacted(str(message)))}", err=True)


def _explained(error: Exception) -> int:
    if isinstance(error, ModuleNotFoundError) and error.name and brought_by_an_extra(error.name):
        error = absent(error.name)
    if isinstance(error, SaidByAnotherRankError):
        return error.exit_code
    if isinstance(error, PolychromicError):
        return _failed(str(error), error.exit_code)
    if isinstance(error, OSError) and error.strerror:
        where = f": {error.filename}" if error.filename else ""
        return _failed(f"{error.strerror.lower()}{where}", 2 if error.errno in NAMED_WRONG else 1)
    text = one_line(str(error))
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return _failed(f"out of memory: {text[:200]}; {SMALLER}", 1)
    return _failed(f"unexpected {type(error).__name__}: {text[:300]} (--debug shows where)", 1)


def _failed(reason: str, status: int, usage: str = "") -> int:
    click.echo(f"{usage}polychromic: {one_line(redacted(reason))}", err=True)
    return status


if __name__ == "__main__":
    main()
