"""A judge of mathematical answers: equivalent expressions are one answer (the library math-verify)."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, ClassVar, Literal

from polychromic.core.errors import MissingResourceError
from polychromic.core.nouns import Completion, Prompt, Status, Verdict
from polychromic.tasks._rows import Rows, absent, column, right_answers
from polychromic.tasks.answer import boxed


@dataclass(frozen=True)
class Math(Rows):
    r"""Right is a completion whose last mathematical answer is equivalent to the row's ``column``, or one of a list.

    LaTeX (``\boxed{\frac12}``), plain expressions, sets and intervals are read by math-verify, for at most ``seconds``
    each (in the main thread, where a clock can interrupt it); of texts above ``longest`` characters the end is read.
    With ``after: boxed`` only the last ``\boxed{}`` counts: "what is 1/3 + 1/6" repeated is an answer otherwise.
    """

    column: str = "answer"
    after: Literal["", "boxed"] = ""
    longest: int = 4000
    seconds: int = 5

    name: ClassVar[str] = "math"

    def verify(self, prompt: Prompt, completion: Completion) -> Verdict:
        """PASSED with the right answer's canonical form, FAILED, or ABSENT without the column or a readable one."""
        known = column(prompt, self.column)
        if known is None:
            return absent(self.column)
        if not completion.finished:
            return Verdict(Status.FAILED, "the answer was cut off")
        given = _parsed(self._located(completion.text[-self.longest :]), self._limit())
        rights = [(_parsed_gold(str(right)), right) for right in right_answers(known)]
        if not any(parsed for parsed, _ in rights):
            return Verdict(Status.ABSENT, f"the column {self.column!r} holds no mathematical answer")
        if not given:
            return Verdict(Status.FAILED, "no mathematical answer was found")
        for parsed, right in rights:
            if parsed and _equal(parsed, given, self._limit()):
                return self.right(completion, _canonical(parsed, str(right)))
        return Verdict(Status.FAILED, f"answers {str(given[-1])[:80]!r}")

    def gold(self, prompt: Prompt) -> str | None:
        """The column's first right answer in a box."""
        known = right_answers(column(prompt, self.column))
        return None if not known or known[0] is None else f"$\\boxed{{{str(known[0]).strip('$')}}}$"

    def _located(self, text: str) -> str:
        if not self.after:
            return text
        inner = boxed(text)
        return "" if inner is None else f"$\\boxed{{{inner}}}$"

    def _limit(self) -> int | None:
        return self.seconds if threading.current_thread() is threading.main_thread() else None


def _library() -> Any:
    try:
        import math_verify
    except ImportError:
        raise MissingResourceError("math: needs math-verify: pip install 'polychromic[math]'") from None
    return math_verify


@lru_cache(maxsize=4096)
def _parsed(text: str, limit: int | None = None) -> tuple[Any, ...]:
    return tuple(_library().parse(text, parsing_timeout=limit))


@lru_cache(maxsize=65536)
def _parsed_gold(text: str) -> tuple[Any, ...]:
    r"""A column's own value, which stands alone where a completion would mark it: bare, ``11\sqrt2`` is read as 11."""
    marked = "$" in text or "\\boxed" in text
    first, second = (text, f"${text}$") if marked else (f"${text}$", text)
    return _parsed(first) or _parsed(second)


def _equal(gold: tuple[Any, ...], given: tuple[Any, ...], limit: int | None) -> bool:
    return bool(_library().verify(list(gold), list(given), timeout_seconds=limit))


def _canonical(parsed: tuple[Any, ...], written: str) -> str:
    """One text for all equivalent right answers: the row's own."""
    return " ".join(written.split()) or str(parsed[0])
