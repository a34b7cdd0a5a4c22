"""The judging process: runs the tests, where the program cannot reach, against a stub that calls the program.

Data made to be slow or large only costs this process, which the supervisor kills at the limits and replaces. What it
reports is trusted: no code of the program ever runs here.
"""

from __future__ import annotations

import builtins
import dis
import functools
import hashlib
import itertools
import marshal
import os
import random
import socket
import sys
import types
from collections.abc import Callable, Iterator
from typing import Any

from polychromic.sandbox import boot, cases, frames, standard, wire
from polychromic.sandbox.bases import base_of, content
from polychromic.sandbox.endings import ELSEWHERE, BrokenError, Ended, builtin_name
from polychromic.sandbox.lent import SPACE
from polychromic.sandbox.mirror import ProgramError, Remote
from polychromic.sandbox.nouns import Outcome
from polychromic.sandbox.session import UNHEARD, WORDS, Session

RECURSION = 1000  # the interpreter's default, which a test may have changed
BROKEN = "broken"  # reported in the place of an outcome
SIGNATURE = 200  # characters of an output signature; longer ones end in a digest
MOST_DRAINED = 1000  # items of an iterator in a signature


def judge(job: dict[str, Any], channel: int, report: Callable[[list[Any]], None]) -> None:
    """Judges one program: reports ``(outcome, detail)`` first, then a signature for each of the job's inputs, in lots.

    Every row is reported once, before the judge waits for long and at the end. The last one is ``ELSEWHERE`` where the
    program asks to be begun again.
    """
    random.seed(0)
    sys.setrecursionlimit(RECURSION)
    session = Session(channel, boot.limits_from(job))
    inputs = [session.framed((tuple(arguments),)) for arguments in wire.decode(job["inputs"]) or ()]
    session.remembered = dict.fromkeys(inputs, UNHEARD)
    try:
        outcome, detail = _tested(job, session, session.open(job))
    except Ended as end:
        outcome, detail = end.outcome, end.detail
    except BrokenError as error:
        report([(BROKEN, str(error))])
        return
    report([(str(outcome), detail[:WORDS])])
    rows: list[Any] = []

    def hand_over() -> None:
        if rows:
            report(rows)
            rows.clear()

    session.on_wait, session.writes_back = hand_over, True
    row = _recorded if job["judge"] == "record" else _behaviour
    for frame in inputs:
        rows.append(row(session, frame))
    if session.ended and session.ended.detail == ELSEWHERE:
        rows.append(ELSEWHERE)
    hand_over()


def _recorded(session: Session, frame: bytes) -> Any:
    """The call and a right program's answer to it as bytes, or in words why there is none."""
    try:
        return frame, wire.encode(("ok", session.again(frame)), codec=standard.PLAIN)
    except Ended as end:
        return f"{end.outcome}: {end.detail}"
    except wire.WireError as error:
        return f"{Outcome.NOT_PLAIN_DATA}: {error}"
    except BaseException as error:  # noqa: BLE001 - the program may have raised anything
        return f"{Outcome.EXCEPTION}: {_text(error)} in {session.shown()}"


def _tested(job: dict[str, Any], session: Session, entry: Any) -> tuple[Outcome, str]:
    """The outcome of the tests."""
    if job["judge"] == "inproc":
        return Outcome.PASSED, "judged in the program's own process"
    if job["cases"]:
        return cases.run(session, job["cases"], job["atol"])
    if not job["tests"].strip():
        return Outcome.NOT_JUDGED, "no tests"
    outcome, detail = _run_tests(job, session, entry)
    if session.changed and not session.ended and not _forgeable(job):  # the tests may look at what it changed
        session.writes_back = True
        again = _run_tests(job, session, entry)
        outcome, detail = again if again[0] is Outcome.PASSED else (outcome, detail)
    if session.ended:  # whatever the tests made of it
        return session.ended.outcome, session.ended.detail
    return outcome, detail


def _run_tests(job: dict[str, Any], session: Session, entry: Any) -> tuple[Outcome, str]:
    space: dict[str, Any] = {"__name__": SPACE}
    try:
        code = _compiled(job["tests"], "<tests>")
        exec(_compiled(job["setup"], "<setup>"), space)
    except Exception as error:  # noqa: BLE001 - the task's own code may raise anything
        return Outcome.HARNESS_ERROR, f"the task's own code: {type(error).__name__}: {error}"
    space["candidate"] = space[job["entry_point"]] = entry
    try:
        wanted = tuple(name for name in _names(job["tests"]) if _is_programs(space, name))
        if wanted:
            space |= session.names(wanted)
        before = session.calls
        exec(code, space)
        if callable(space.get("check")) and session.calls == before:
            space["check"](entry)
        if session.calls == before:
            return Outcome.HARNESS_ERROR, "the tests never called the program"
    except Ended as end:
        return end.outcome, end.detail
    except MemoryError as error:
        where = "" if error is session.raised else " in the tests, on data the program returned"
        return Outcome.MEMORY, f"out of memory{where}"
    except BaseException as error:  # noqa: BLE001 - the tests may raise anything
        return _classified(error, session)
    return Outcome.PASSED, ""


def _forgeable(job: dict[str, Any]) -> bool:
    """Whether the tests would believe a program that only empties its arguments, as ``f(x) == sorted(x)`` does.

    Such tests are not shown what a program does to its arguments.
    """
    return any(_believed(job, returned) for returned in (True, False))


def _believed(job: dict[str, Any], returned: bool) -> bool:
    def empties(*arguments: Any, **_: Any) -> Any:
        for argument in arguments:
            if hasattr(argument, "clear"):
                argument.clear()
            elif hasattr(argument, "dtype"):
                argument.fill(0)
        return arguments[0] if returned and arguments else None

    space: dict[str, Any] = {"__name__": SPACE}
    try:
        exec(_compiled(job["setup"], "<setup>"), space)
        space["candidate"] = space[job["entry_point"]] = empties
        exec(_compiled(job["tests"], "<tests>"), space)
        if callable(space.get("check")):
            space["check"](empties)
    except BaseException:  # noqa: BLE001 - the tests may raise anything
        return False
    return True


@functools.lru_cache(maxsize=512)
def _compiled(text: str, name: str) -> types.CodeType:
    """The tests of a task judge many programs: they are compiled once."""
    return compile(text, name, "exec", dont_inherit=True)


@functools.lru_cache(maxsize=512)
def _names(tests: str) -> tuple[str, ...]:
    """The global names that the tests read and do not set."""
    bound = {"candidate", "check", "__name__"}
    mentioned = {name for code in _codes(_compiled(tests, "<tests>")) for name in code.co_names}
    if all(name in bound or hasattr(builtins, name) for name in mentioned):  # quick, and the rule
        return ()
    read: dict[str, None] = {}
    for code in _codes(_compiled(tests, "<tests>")):
        for step in dis.get_instructions(code):
            if step.opname in ("LOAD_GLOBAL", "LOAD_NAME"):
                read[step.argval] = None
            elif step.opname in ("STORE_GLOBAL", "STORE_NAME"):
                bound.add(step.argval)
    return tuple(name for name in read if name not in bound and not hasattr(builtins, name))


def _codes(code: types.CodeType) -> Iterator[types.CodeType]:
    yield code
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from _codes(constant)


def _is_programs(space: dict[str, Any], name: str) -> bool:
    """Whether the tests mean the program's: nobody else has defined it, or the prompt has shown its class."""
    known = space.get(name)
    return name not in space or (isinstance(known, type) and known.__module__ == SPACE)


def _classified(error: BaseException, session: Session) -> tuple[Outcome, str]:
    """The outcome of tests that raised: the program's exception, an assertion, or a test that choked on an answer."""
    crashed = error is session.raised
    text = _text(error)  # which may ask the program, and so comes second
    if crashed:
        return Outcome.EXCEPTION, f"{text} in {session.shown()}"
    if isinstance(error, NameError):
        return Outcome.MISSING_ENTRY_POINT, f"neither the tests nor the program define it: {error}"
    if not session.calls:
        return Outcome.HARNESS_ERROR, f"the tests fail before they call the program: {text}"
    cause = "" if isinstance(error, AssertionError) else f" ({text})"
    return Outcome.WRONG_ANSWER, session.shown() + cause


def _text(error: BaseException) -> str:
    """An exception in words; one of the program's may have a say in them, or fail to."""
    own = "" if isinstance(error, ProgramError) else f"{type(error).__name__}: "
    try:
        return f"{own}{error}"
    except BaseException:  # noqa: BLE001 - the program's own __str__
        return own


def _behaviour(session: Session, frame: bytes) -> str:
    """The signature of the program's answer, ``!TypeName`` for an exception, ``!outcome`` when it is gone.

    With no answer, of the arguments if they were changed in place.
    """
    try:
        value = session.again(frame)
        if value is None and session.framed((session.arguments,)) != frame:
            value = session.arguments
        return signature(value)
    except Ended as end:
        return f"!{end.outcome}"
    except wire.WireError:
        return f"!{Outcome.NOT_PLAIN_DATA}"
    except BaseException as error:  # noqa: BLE001 - the program may have raised anything
        return "!" + (str(error).split(":")[0] if isinstance(error, ProgramError) else builtin_name(error))


def signature(value: Any) -> str:
    """A canonical text of plain data: equal data with equal types give equal texts, in any insertion order."""
    text = _canonical(value)
    if len(text) <= SIGNATURE:
        return text
    digest = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
    return f"{text[:SIGNATURE]}#{digest[:16]}"


def _canonical(value: Any) -> str:
    if isinstance(value, Remote):
        return _described(value)
    kind = base_of(type(value)) or type(value)
    if kind in (list, tuple):
        return f"{'[' if kind is list else '('}{', '.join(map(_canonical, value))}{']' if kind is list else ')'}"
    if kind is dict:
        return "{" + ", ".join(sorted(f"{_canonical(key)}: {_canonical(item)}" for key, item in value.items())) + "}"
    if kind in (set, frozenset):
        return f"{kind.__name__}({', '.join(sorted(map(_canonical, value)))})"
    if kind.__module__ == "numpy":
        return _canonical(value.tolist())
    value = content(value, kind) if type(value) is not kind else value
    return hex(value) if kind is int and value.bit_length() > 1000 else repr(value)


def _described(value: Remote) -> str:
    """The items of an iterator, as far as they go; an object has no canonical form."""
    if not hasattr(type(value), "__next__"):
        raise wire.WireError("an object of the program's")
    items = list(itertools.islice(iter(value), MOST_DRAINED))  # type: ignore[call-overload]
    return f"iter{_canonical(items)}"


def serve(descriptor: int) -> None:
    """Judges what the supervisor hands over, a descriptor and a job each time, until it hangs up. Never returns."""
    line = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM, 0, fileno=descriptor)
    before: list[int] = []
    try:
        while True:
            _, channels, _, _ = socket.recv_fds(line, 1, 1)
            for channel in before:  # not earlier: a program that is about to be killed need not wake
                os.close(channel)
            job = marshal.loads(frames.receive(line.fileno(), 2**30))
            judge(job, channels[0], lambda rows: frames.send(line.fileno(), wire.encode(rows)))
            before = channels
            frames.send(line.fileno(), wire.encode(None))
    finally:
        os._exit(0)
