"""The judging process: runs the tests, where the program cannot reach, against a stub that calls the program.

Data made to be slow or large only costs this process, which the supervisor kills at the limits and replaces. What it
reports is trusted: no code of the program ever runs here.
"""

from __future__ import annotations

import builtins
import functools
import hashlib
import os
import random
import reprlib
import select
import socket
import sys
import types
from collections.abc import Callable
from typing import Any, NoReturn

from polychromic.sandbox import boot, wire
from polychromic.sandbox.confine import HELLO
from polychromic.sandbox.nouns import Limits, Outcome

SLACK = 4096  # bytes of a frame around the answer itself
RECURSION = 1000  # the interpreter's default, which a test may have changed
BROKEN = "broken"  # reported in the place of an outcome
UNHEARD = b""  # stands for an answer that did not come yet
MOST_REMEMBERED = 2**16  # bytes of an answer that is kept; a larger one is asked for again
FED_BACK = 32  # levels that tests may add to an answer which they hand back as an argument
WORDS = 300  # characters of a detail
SIGNATURE = 200  # characters of an output signature; longer ones end in a digest
PATIENCE = 20.0  # milliseconds of waiting for an answer before what is known is reported
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
# Exceptions with a meaning to loops and interpreters: raised in a test, they could end it early and look like success.
NEVER_RAISED = (StopIteration, StopAsyncIteration, GeneratorExit, KeyboardInterrupt, SystemExit, BaseExceptionGroup)


class Ended(BaseException):
    """There will be no further answers."""

    def __init__(self, outcome: Outcome, detail: str) -> None:
        self.outcome, self.detail = outcome, detail


class BrokenError(RuntimeError):
    """The sandbox itself failed: nothing was learned about the program."""


class ProgramError(Exception):
    """Stands for an exception of the program's that cannot be raised as itself."""


class Session:
    """The judge's end of the channel to one confined program.

    The first answers to the calls named in ``remembered`` (by frame) are kept there, so that a call of the tests need
    not be made again to record the program's behaviour. ``on_wait`` is called before a wait that may be long.
    """

    def __init__(self, channel: int, limits: Limits) -> None:
        self.channel, self.limits = channel, limits
        self.remembered: dict[bytes, bytes] = {}
        self.on_wait: Callable[[], None] = lambda: None
        self.calls = 0
        self.answered = False
        self.arguments: tuple[Any, ...] = ()
        self.answer: tuple[Any, ...] = ()
        self.raised: BaseException | None = None
        self.ended: Ended | None = None

    def open(self, job: dict[str, Any]) -> None:
        """Waits for the child to be confined, then sends the program and waits until its module has run.

        Raises:
            Ended: it did not get that far.
            BrokenError: the child could not be confined.
        """
        try:
            hello = wire.receive(self.channel, SLACK)
        except (wire.GoneError, wire.TooLargeError):
            hello = b""
        if hello != HELLO:
            raise BrokenError("the child could not be confined")
        tests = job["setup"] + "\n" + job["tests"] if job["judge"] == "inproc" else ""
        bounds = (self.limits.output_bytes, self.limits.depth)
        try:
            wire.send(self.channel, wire.encode((job["judge"], job["source"], job["entry_point"], tests, bounds)))
        except wire.GoneError:
            self._end(Outcome.KILLED, "")
        self._understood(self._received())

    def call(self, *arguments: Any, **keywords: Any) -> Any:
        """What the program answers to these arguments.

        Raises:
            Ended: the program is gone or broke a rule; every later call raises it again.
            Exception: the program raised; as the same built-in type where that is harmless.
        """
        if self.ended:
            raise self.ended
        self.calls += 1
        self.arguments, self.answer = arguments, ()
        try:
            frame = wire.encode((arguments, keywords), depth=self.limits.depth + FED_BACK)
        except wire.WireError as error:
            if self.answered:  # the tests hand back what the program answered
                self._end(Outcome.NOT_PLAIN_DATA, f"an answer that cannot be handed back ({error})")
            self._end(Outcome.HARNESS_ERROR, f"the tests pass what is not plain data ({error}): use judge='inproc'")
        try:
            wire.send(self.channel, frame)
        except wire.GoneError:
            self._end(Outcome.KILLED, "")
        received = self._received()
        if self.remembered.get(frame) == UNHEARD and len(received) <= MOST_REMEMBERED:
            self.remembered[frame] = received
        value = self._understood(received)
        self.answer = (value,)
        return value

    def again(self, arguments: tuple[Any, ...], frame: bytes) -> Any:
        """The first answer to these arguments, from memory where the tests have asked already.

        Raises:
            Ended, Exception: as ``call``.
        """
        heard = self.remembered.get(frame, UNHEARD)
        return self.call(*arguments) if self.ended or heard == UNHEARD else self._understood(heard)

    def shown(self, name: str) -> str:
        """The last call and its answer, shortened."""
        answer = "".join(f" -> {_shown(value)}" for value in self.answer)
        return f"{name}({', '.join(map(_shown, self.arguments))}){answer}"

    def _received(self) -> bytes:
        """One frame of the program's."""
        if not _readable(self.channel, PATIENCE):
            self.on_wait()
        try:
            return wire.receive(self.channel, self.limits.output_bytes + SLACK)
        except wire.GoneError:
            self._end(Outcome.KILLED, "")
        except wire.TooLargeError as error:
            self._end(Outcome.OUTPUT_LIMIT, str(error))

    def _understood(self, frame: bytes) -> Any:
        """What a frame of the program's means."""
        try:
            reply = wire.decode(frame, self.limits.depth + 1)
        except wire.WireError as error:
            self._end(Outcome.NOT_PLAIN_DATA, str(error))
        match reply:
            case ("ok", value):
                self.answered = self.calls > 0
                return value
            case ("raise", str(name), str(text)):
                self._raise(name, text[:WORDS])
            case ("fault", str(outcome), str(detail)) if outcome in SELF_REPORTED:
                self._end(Outcome(outcome), detail[:WORDS])
        self._end(Outcome.NOT_PLAIN_DATA, "garbled answer")

    def _end(self, outcome: Outcome, detail: str) -> NoReturn:
        self.ended = Ended(outcome, detail)
        raise self.ended

    def _raise(self, name: str, text: str) -> None:
        """Raises what the program raised and remembers it, to tell it from an exception of the test's own."""
        kind = getattr(builtins, name, None)
        error: BaseException = ProgramError(f"{name}: {text}")
        if isinstance(kind, type) and issubclass(kind, BaseException) and not issubclass(kind, NEVER_RAISED):
            try:
                error = kind(text)
            except TypeError:  # such as UnicodeDecodeError, which wants five arguments
                error = ProgramError(f"{name}: {text}")
        self.raised = error
        raise error


def _readable(descriptor: int, milliseconds: float) -> bool:
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    return bool(poll.poll(milliseconds))


_SHORT = reprlib.Repr()
_SHORT.maxlist = _SHORT.maxtuple = _SHORT.maxdict = _SHORT.maxset = 12
_SHORT.maxstring = _SHORT.maxother = 80


def _shown(value: Any) -> str:
    try:
        return _SHORT.repr(value)
    except (ValueError, RecursionError, MemoryError):  # an int with too many digits, deep nesting
        return f"<{type(value).__name__}>"


class Stub:
    """``candidate`` in the tests."""

    def __init__(self, session: Session, name: str) -> None:
        self._session = session
        self.__name__ = self.__qualname__ = name

    def __call__(self, *arguments: Any, **keywords: Any) -> Any:
        """What the program answers."""
        return self._session.call(*arguments, **keywords)


def judge(job: dict[str, Any], channel: int, report: Callable[[list[Any]], None]) -> None:
    """Judges one program: reports ``(outcome, detail)`` first, then a signature for each of the job's inputs, in lots.

    Every row is reported once, before the judge waits for long and at the end.
    """
    random.seed(0)
    sys.setrecursionlimit(RECURSION)
    session = Session(channel, boot.limits_from(job))
    inputs = [(tuple(arguments), wire.encode((tuple(arguments), {}))) for arguments in job["inputs"] or ()]
    session.remembered = {frame: UNHEARD for _, frame in inputs}
    try:
        session.open(job)
        outcome, detail = _tested(job, session)
    except Ended as end:
        outcome, detail = end.outcome, end.detail
    except BrokenError as error:
        report([(BROKEN, str(error))])
        return
    report([(str(outcome), detail[:WORDS])])
    rows: list[str] = []

    def hand_over() -> None:
        if rows:
            report(rows)
            rows.clear()

    session.on_wait = hand_over
    for arguments, frame in inputs:
        rows.append(_behaviour(session, arguments, frame))
    hand_over()


def _tested(job: dict[str, Any], session: Session) -> tuple[Outcome, str]:
    """The outcome of the tests."""
    if job["judge"] == "inproc":
        return Outcome.PASSED, "judged in the program's own process"
    if not job["tests"].strip():
        return Outcome.NOT_JUDGED, "no tests"
    outcome, detail = _run_tests(job, session)
    if session.ended:  # whatever the tests made of it
        return session.ended.outcome, session.ended.detail
    if outcome is Outcome.PASSED and not session.calls:
        return Outcome.HARNESS_ERROR, "the tests never called the program"
    return outcome, detail


def _run_tests(job: dict[str, Any], session: Session) -> tuple[Outcome, str]:
    stub = Stub(session, job["entry_point"])
    space: dict[str, Any] = {"__name__": "judge"}
    try:
        code = _compiled(job["tests"], "<tests>")
        exec(_compiled(job["setup"], "<setup>"), space)
    except Exception as error:  # noqa: BLE001 - the task's own code may raise anything
        return Outcome.HARNESS_ERROR, f"the task's own code: {type(error).__name__}: {error}"
    space["candidate"] = space[job["entry_point"]] = stub
    try:
        exec(code, space)
        if callable(space.get("check")) and not session.calls:
            space["check"](stub)
    except Ended as end:
        return end.outcome, end.detail
    except MemoryError as error:
        where = "" if error is session.raised else " in the tests, on data the program returned"
        return Outcome.MEMORY, f"out of memory{where}"
    except BaseException as error:  # noqa: BLE001 - the tests may raise anything
        return _classified(error, session, job["entry_point"])
    return Outcome.PASSED, ""


@functools.lru_cache(maxsize=512)
def _compiled(text: str, name: str) -> types.CodeType:
    """The tests of a task judge many programs: they are compiled once."""
    return compile(text, name, "exec", dont_inherit=True)


def _classified(error: BaseException, session: Session, name: str) -> tuple[Outcome, str]:
    """The outcome of tests that raised: the program's exception, an assertion, or a test that choked on an answer."""
    text = str(error) if isinstance(error, ProgramError) else f"{type(error).__name__}: {error}"
    if error is session.raised:
        return Outcome.EXCEPTION, f"{text} in {session.shown(name)}"
    if isinstance(error, NameError):
        return Outcome.HARNESS_ERROR, f"the tests use a name that is the program's own ({error}): use judge='inproc'"
    if not session.calls:
        return Outcome.HARNESS_ERROR, f"the tests fail before they call the program: {text}"
    cause = "" if isinstance(error, AssertionError) else f" ({text})"
    return Outcome.WRONG_ANSWER, session.shown(name) + cause


def _behaviour(session: Session, arguments: tuple[Any, ...], frame: bytes) -> str:
    """The signature of the program's answer, ``!TypeName`` for an exception, ``!outcome`` when it is gone."""
    try:
        return signature(session.again(arguments, frame))
    except Ended as end:
        return f"!{end.outcome}"
    except BaseException as error:  # noqa: BLE001 - the program may have raised anything
        return "!" + (str(error).split(":")[0] if isinstance(error, ProgramError) else type(error).__name__)


def signature(value: Any) -> str:
    """A canonical text of plain data: equal data with equal types give equal texts, in any insertion order."""
    text = _canonical(value)
    if len(text) <= SIGNATURE:
        return text
    digest = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
    return f"{text[:SIGNATURE]}#{digest[:16]}"


def _canonical(value: Any) -> str:
    kind = type(value)
    if kind in (list, tuple):
        return f"{'[' if kind is list else '('}{', '.join(map(_canonical, value))}{']' if kind is list else ')'}"
    if kind is dict:
        return "{" + ", ".join(sorted(f"{_canonical(key)}: {_canonical(item)}" for key, item in value.items())) + "}"
    if kind in (set, frozenset):
        return f"{kind.__name__}({', '.join(sorted(map(_canonical, value)))})"
    return hex(value) if kind is int and value.bit_length() > 1000 else repr(value)


def serve(line: socket.socket) -> None:
    """Judges what the supervisor hands over, a descriptor and a job each time, until it hangs up. Never returns."""
    try:
        while True:
            _, channels, _, _ = socket.recv_fds(line, 1, 1)
            job = wire.decode(wire.receive(line.fileno(), 2**30))
            judge(job, channels[0], lambda rows: wire.send(line.fileno(), wire.encode(rows)))
            os.close(channels[0])
            wire.send(line.fileno(), wire.encode(None))
    finally:
        os._exit(0)
