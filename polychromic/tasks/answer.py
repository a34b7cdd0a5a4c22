"""A judge over rows with one or several right answers: exact, normalised, a choice letter, or a number."""

from __future__ import annotations

import math
import re
import unicodedata
from dataclasses import dataclass
from functools import cache
from typing import ClassVar, Literal

from polychromic.core.errors import InputError
from polychromic.core.nouns import Completion, Prompt, Status, Verdict
from polychromic.tasks._rows import Rows, absent, column, right_answers

Match = Literal["exact", "normalised", "choice", "number"]
_NUMBER = re.compile(r"[-+]?(?:\d{1,3}(?:,\d{3})+|\d+)?(?:\.\d+)?(?:[eE][-+]?\d+)?%?")
_CHOICE = re.compile(r"\(?\b([A-Z])\b\)?")
_ARTICLES = re.compile(r"\b(?:a|an|the)\b")


@dataclass(frozen=True)
class Answer(Rows):
    r"""Right is a completion whose answer is that of the row's ``column``, or one of a list there.

    Where the answer is: behind the last ``after`` (such as ``####``), in the last match of ``pattern`` (its first
    group), or in the last ``\boxed{}`` with ``after: boxed``; else the whole text. ``match``: ``exact`` (but for white
    space at the ends), ``normalised`` (case, punctuation, articles and white space aside), ``choice`` (the last single
    capital letter) or ``number`` (the last number, within ``tolerance``, relative where the right one is above 1).
    """

    column: str = "answer"
    match: Match = "normalised"
    after: str = ""
    pattern: str = ""
    tolerance: float = 1e-6

    name: ClassVar[str] = "answer"

    def __post_init__(self) -> None:
        if self.after and self.pattern:
            raise InputError("answer: give after or pattern, not both")
        if self.tolerance < 0:
            raise InputError(f"answer: tolerance must be at least 0, not {self.tolerance}")
        if self.pattern:
            _compiled(self.pattern)

    def verify(self, prompt: Prompt, completion: Completion) -> Verdict:
        """PASSED with the canonical answer, FAILED with what was found, ABSENT without the column."""
        known = column(prompt, self.column)
        if known is None:
            return absent(self.column)
        if not completion.finished:
            return Verdict(Status.FAILED, "the answer was cut off")
        found = self.canonical(completion.text)
        if found is None:
            return Verdict(Status.FAILED, "no answer was found")
        for right in right_answers(known):
            wanted = self.canonical(str(right)) if self._located(str(right)) else self._read(str(right))
            if wanted is not None and self._same(found, wanted):
                return self.right(completion, wanted)
        return Verdict(Status.FAILED, f"answers {found[:80]!r}")

    def gold(self, prompt: Prompt) -> str | None:
        """The column's first right answer where a completion would have it; None with a ``pattern`` of one's own."""
        known = right_answers(column(prompt, self.column))
        if not known or known[0] is None or (self.pattern and not self._located(str(known[0]))):
            return None
        text = str(known[0])
        if self._located(text):
            return text
        return f"\\boxed{{{text}}}" if self.after == "boxed" else f"{self.after} {text}"

    def canonical(self, text: str) -> str | None:
        """The answer in a text in canonical form; None where there is none."""
        located = self._located(text)
        return None if located is None else self._read(located)

    def _located(self, text: str) -> str | None:
        """Where the answer is, as the options say."""
        if self.after == "boxed":
            return boxed(text)
        if self.after:
            _, mark, rest = text.rpartition(self.after)
            return rest if mark else None
        if self.pattern:
            found = [match.group(match.re.groups and 1) for match in _compiled(self.pattern).finditer(text)]
            return found[-1] if found else None
        return text

    def _read(self, text: str) -> str | None:
        if self.match == "exact":
            return text.strip()
        if self.match == "choice":
            letters = _CHOICE.findall(text)
            return letters[-1] if letters else None
        if self.match == "number":
            number = last_number(text)
            return None if number is None else f"{number:.12g}"
        return normalised(text) or None

    def _same(self, found: str, wanted: str) -> bool:
        if self.match != "number":
            return found == wanted
        a, b = float(found), float(wanted)
        return abs(a - b) <= self.tolerance * max(1.0, abs(b))


@cache
def _compiled(pattern: str) -> re.Pattern[str]:
    try:
        return re.compile(pattern)
    except re.error as error:
        raise InputError(f"answer: pattern is no regular expression: {error}") from None


def boxed(text: str) -> str | None:
    r"""What the last ``\boxed{...}`` of a text holds, braces matched; None where there is none."""
    start = text.rfind("\\boxed{")
    if start < 0:
        return None
    depth, begin = 0, start + len("\\boxed")
    for place in range(begin, len(text)):
        depth += (text[place] == "{") - (text[place] == "}")
        if depth == 0:
            return text[begin + 1 : place]
    return None


def last_number(text: str) -> float | None:
    """The last number of a text (thousands separated by commas, a percentage as written); None where there is none."""
    for found in reversed([match.group() for match in _NUMBER.finditer(text)]):
        if any(sign.isdigit() for sign in found):
            value = float(found.rstrip("%").replace(",", ""))
            return value if math.isfinite(value) else None
    return None


def normalised(text: str) -> str:
    """Lower case, no punctuation at all, no articles, single spaces (SQuAD, 1606.05250)."""
    kept = (" " if unicodedata.category(sign)[0] in "PS" else sign for sign in text.casefold())
    return " ".join(_ARTICLES.sub(" ", "".join(kept)).split())
