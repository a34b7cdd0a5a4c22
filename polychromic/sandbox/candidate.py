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
from typing import Any, NoReturn

from polychromic.sandbox import frames, wire
from polychromic.sandbox.confine import CHANNEL, HELLO
from polychromic.sandbox.endings import ELSEWHERE
from polychromic.sandbox.objects import Conversation, words

MODULE = "candidate"


class _Sink(io.RawIOBase):
    """Counts what is printed and keeps or forgets it; too much of it ends the program."""

    left = 0  # bytes

    def __init__(self, kept: list[bytes] | None = None) -> None:
        self.kept = kept

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        size = memoryview(data).nbytes
        _Sink.left -= size
        if _Sink.left < 0:
            _end("output_limit", "printed more than allowed")
        if self.kept is not None:
            self.kept.append(bytes(data))
        return size


_PRINTED: list[bytes] = []
_STREAMS: list[io.TextIOWrapper] = []


def _printed() -> str:
    """What was printed since it was last asked."""
    _STREAMS[0].flush()
    if not _PRINTED:
        return ""
    text = b"".join(_PRINTED).decode("utf-8", "replace")
    _PRINTED.clear()
    return text


def _end(outcome: str, detail: str) -> NoReturn:
    """Reports the last word and leaves at once."""
    try:
        frames.send(CHANNEL, wire.encode(("fault", outcome, detail)))
    finally:
        os._exit(0)


def leave_for_elsewhere() -> NoReturn:
    """Leaves, to be begun again where all modules are."""
    _end("import_error", ELSEWHERE)


def serve() -> None:
    """Runs the program that the judge sends and answers its calls, until the judge goes away. Never returns."""
    try:
        frames.send(CHANNEL, HELLO)
        mode, source, entry_point, tests, bounds = wire.decode(frames.receive(CHANNEL, 2**30))
        _Sink.left = bounds[0]
        function = _load(source, entry_point)
        if mode == "inproc":
            _judge_here(function, tests)
        talk = Conversation(_end, _printed)
        talk.open(sys.modules[MODULE].__dict__, function, bounds)
        entry = function if isinstance(function, type) else None
        _printed()
        frames.send(CHANNEL, wire.encode(("ok", entry), codec=talk))
        talk.serve()
    except frames.GoneError:
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
    for name, kept in (("stdout", _PRINTED), ("stderr", None)):
        sink = io.TextIOWrapper(io.BufferedWriter(_Sink(kept), 1024), "utf-8", "backslashreplace")
        _STREAMS.append(sink)
        setattr(sys, name, sink)
        setattr(sys, f"__{name}__", sink)
    sys.argv[:] = [MODULE]
    random.seed(0)
    os.environ.clear()  # the interpreter itself may have set LC_CTYPE
    gc.collect()
    gc.freeze()


REHEARSALS = 12
"""Enough for the interpreter to have specialised its code and filled its caches, which a child would copy to write."""


def _rehearse() -> None:
    """Loads a program of our own and answers for it."""
    source = 'def f(x: list) -> list:\n    """Sorted."""\n    return sorted(y for y in x if y > 1)\n'
    call = wire.encode((([3, 1.5, 2],),))
    for _ in range(REHEARSALS):
        talk = Conversation(_end, lambda: "")
        talk.open({}, _load(source, "f"), (2**20, 100))
        for _ in range(REHEARSALS):
            talk.rehearse(call)
    del sys.modules[MODULE]


def _load(source: str, entry_point: str) -> Any:
    """The program's entry point, after its module has run."""
    try:
        code = compile(source, f"<{MODULE}>", "exec", dont_inherit=True)
    except (SyntaxError, ValueError, RecursionError, OverflowError) as error:
        _end("syntax_error", words(error))
    module = types.ModuleType(MODULE)
    sys.modules[MODULE] = module
    try:
        exec(code, module.__dict__)
    except ImportError as error:
        _end("import_error", words(error))
    except MemoryError:
        _end("memory", "out of memory at module level")
    except SystemExit as error:
        _end("exited", words(error))
    except BaseException as error:  # noqa: BLE001 - the program may raise anything
        _end("exception", f"{type(error).__name__} at module level: {words(error)}")
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
        _end("wrong_answer", words(error))
    except MemoryError:
        _end("memory", "out of memory")
    except BaseException as error:  # noqa: BLE001 - the program may raise anything
        _end("exception", f"{type(error).__name__}: {words(error)}")
