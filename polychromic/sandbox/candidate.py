"""The confined child: reads one program, runs it, answers calls with plain data.

Nothing here is trusted by the judge. Every answer is one frame holding ``("ok", value)``, ``("raise", type, text)``
for an exception of the program's, or ``("fault", outcome, detail)`` when there will be no further answers.
"""

from __future__ import annotations

import gc
import io
import os
import random
import signal
import sys
import types
import warnings
from typing import Any

from polychromic.sandbox import wire
from polychromic.sandbox.confine import CHANNEL, HELLO

MODULE = "candidate"
TRUSTED = 10_000  # levels of nesting in what the judge sends, which has its own bound


class _Sink(io.RawIOBase):
    """Counts what is printed and forgets it; too much of it ends the program."""

    left = 0  # bytes

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        size = memoryview(data).nbytes
        _Sink.left -= size
        if _Sink.left < 0:
            _end("output_limit", "printed more than allowed")
        return size


def _end(outcome: str, detail: str) -> None:
    """Reports the last word and leaves at once."""
    try:
        wire.send(CHANNEL, wire.encode(("fault", outcome, detail)))
    finally:
        os._exit(0)


def serve() -> None:
    """Runs the program that the judge sends and answers its calls, until the judge goes away. Never returns."""
    try:
        random.seed(0)
        wire.send(CHANNEL, HELLO)
        mode, source, entry_point, tests, (output_bytes, depth) = wire.decode(wire.receive(CHANNEL, 2**30))
        _Sink.left = output_bytes
        function = _load(source, entry_point)
        if mode == "inproc":
            _judge_here(function, tests)
        wire.send(CHANNEL, wire.encode(("ok", None)))
        _answer(function, output_bytes, depth)
    except wire.GoneError:
        os._exit(0)
    except MemoryError:
        _end("memory", "out of memory")
    finally:
        os._exit(0)


def prepare() -> None:
    """Called once in the zygote: leaves as little as possible for each child to do, and few pages for it to copy."""
    _rehearse()
    signal.signal(signal.SIGINT, signal.default_int_handler)
    warnings.simplefilter("ignore")
    for name in ("stdout", "stderr"):
        sink = io.TextIOWrapper(io.BufferedWriter(_Sink(), 1024), "utf-8", "backslashreplace")
        setattr(sys, name, sink)
        setattr(sys, f"__{name}__", sink)
    sys.argv[:] = [MODULE]
    os.environ.clear()  # the interpreter itself may have set LC_CTYPE
    gc.collect()
    gc.freeze()


REHEARSALS = 12
"""Enough for the interpreter to have specialised its code and filled its caches, which a child would copy to write."""


def _rehearse() -> None:
    """Loads a program of our own and answers for it."""
    source = 'def f(x: list) -> list:\n    """Sorted."""\n    return sorted(y for y in x if y > 1)\n'
    job, call = wire.encode(("split", source, "f", "")), wire.encode((([3, 1.5, 2],), {}))
    for _ in range(REHEARSALS):
        function = _load(*wire.decode(job)[1:3])
        for _ in range(REHEARSALS):
            arguments, keywords = wire.decode(call)
            wire.encode(("ok", function(*arguments, **keywords)))
    del sys.modules[MODULE]


def _load(source: str, entry_point: str) -> Any:
    """The program's entry point, after its module has run."""
    try:
        code = compile(source, f"<{MODULE}>", "exec", dont_inherit=True)
    except (SyntaxError, ValueError, RecursionError, OverflowError) as error:
        _end("syntax_error", _words(error))
    module = types.ModuleType(MODULE)
    sys.modules[MODULE] = module
    try:
        exec(code, module.__dict__)
    except ImportError as error:
        _end("import_error", _words(error))
    except MemoryError:
        _end("memory", "out of memory at module level")
    except SystemExit as error:
        _end("exited", _words(error))
    except BaseException as error:  # noqa: BLE001 - the program may raise anything
        _end("exception", f"{_name(error)} at module level: {_words(error)}")
    function = module.__dict__.get(entry_point)
    if not callable(function):
        _end("missing_entry_point", f"no function {entry_point!r}")
    return function


def _judge_here(function: Any, tests: str) -> None:
    """Runs the tests in the program's own namespace (``judge="inproc"``: what follows could be forged)."""
    space = sys.modules[MODULE].__dict__
    space["candidate"] = function
    try:
        exec(compile(tests, "<tests>", "exec", dont_inherit=True), space)
        if callable(space.get("check")):
            space["check"](function)
    except AssertionError as error:
        _end("wrong_answer", _words(error))
    except MemoryError:
        _end("memory", "out of memory")
    except BaseException as error:  # noqa: BLE001 - the program may raise anything
        _end("exception", f"{_name(error)}: {_words(error)}")


def _answer(function: Any, output_bytes: int, depth: int) -> None:
    while True:
        arguments, keywords = wire.decode(wire.receive(CHANNEL, 2**30), TRUSTED)
        reply: tuple[Any, ...]
        try:
            reply = ("ok", function(*arguments, **keywords))
        except SystemExit as error:
            _end("exited", _words(error))
        except BaseException as error:  # noqa: BLE001 - the program may raise anything
            reply = ("raise", _name(error), _words(error))
        try:
            frame = wire.encode(reply, output_bytes, depth + 1)
        except wire.TooLargeError as error:
            _end("output_limit", str(error))
        except wire.WireError as error:
            _end("not_plain_data", str(error))
        except MemoryError:
            _end("memory", "out of memory in the answer")
        del reply, arguments, keywords
        wire.send(CHANNEL, frame)


def _name(error: BaseException) -> str:
    """The exception's built-in type, so that a test may expect it."""
    for kind in type(error).__mro__:
        if kind.__module__ == "builtins":
            return kind.__name__
    return "Exception"


def _words(error: BaseException) -> str:
    own = "" if type(error).__module__ == "builtins" else f"{type(error).__name__}: "
    try:
        return f"{own}{error}"[:300]
    except BaseException:  # noqa: BLE001 - a program's own __str__
        return own
