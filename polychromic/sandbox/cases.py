"""Calls with the answers that a right program gives to them, recorded once from a gold program.

Calls are sent ahead of the answers, and an answer is compared as it was sent: only one whose bytes differ from the
gold program's is decoded and compared by value.
"""

from __future__ import annotations

from typing import Any

from polychromic.sandbox import wire
from polychromic.sandbox.nouns import Outcome
from polychromic.sandbox.session import Session

AHEAD, MOST_AHEAD = 2**15, 64
"""Bytes of calls, and calls, that may be on their way. The channel holds more (of small ones a few hundred, as the
kernel counts each as a kilobyte), so that program and judge never both wait for the other to read."""
RELATIVE = 1e-7  # of a float, besides ``atol``


def run(session: Session, packed: bytes, atol: float) -> tuple[Outcome, str]:
    """The outcome of asking the program for every call in ``packed`` (see ``pack``)."""
    calls, answers = wire.decode(packed)
    asked = 0
    for number, (call, answer) in enumerate(zip(calls, answers, strict=True)):
        waiting = sum(map(len, calls[number:asked]))
        last = min(len(calls), number + MOST_AHEAD)
        while asked < last and (asked == number or waiting + len(calls[asked]) < AHEAD):
            session.send(calls[asked])
            waiting += len(calls[asked])
            asked += 1
        received = session.received(call)
        if received == answer:
            continue
        try:
            value = session.understood(call, received)
        except Exception as error:  # noqa: BLE001 - the program may have raised anything
            return Outcome.EXCEPTION, f"{type(error).__name__}: {error} in {session.shown()}"
        if not same(value, wire.decode(answer, codec=session)[1], atol):
            return Outcome.WRONG_ANSWER, session.shown()
    return Outcome.PASSED, ""


def pack(calls: list[bytes], answers: list[bytes]) -> bytes:
    """Calls and answers in one piece."""
    return wire.encode((tuple(calls), tuple(answers)))


def same(got: Any, want: Any, atol: float) -> bool:
    """Whether two answers are equal; floats may differ by ``atol`` and one part in ten million, nan equals nan."""
    if got == want:
        return True
    numbers = isinstance(got, int | float) and isinstance(want, int | float)
    if numbers and (isinstance(got, float) or isinstance(want, float)):
        return _close(got, want, atol) or (got != got and want != want)
    if isinstance(want, list | tuple) and type(got) is type(want):
        return len(got) == len(want) and all(same(one, other, atol) for one, other in zip(got, want, strict=True))
    if isinstance(want, dict) and isinstance(got, dict):
        return got.keys() == want.keys() and all(same(got[key], want[key], atol) for key in want)
    return False


def _close(got: float, want: float, atol: float) -> bool:
    try:
        return abs(got - want) <= atol + RELATIVE * abs(want)
    except OverflowError:  # an int beyond every float
        return False
