"""Expressions of whole numbers with ``+``, ``-`` and ``*``: one parser, one canonical form.

Grammar: ``sum := product (("+" | "-") product)*``, ``product := number ("*" number)*``. There are no parentheses and no
leading sign; spaces between the symbols do not count. Expressions that differ only by commuting or regrouping are one
:class:`Expression`.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from dataclasses import dataclass

Product = tuple[int, ...]

MAX_LENGTH = 256
"""Longer texts are refused, which also keeps numbers within what Python converts."""
_TOKEN = re.compile(r" *([0-9]+|[-+*])")


class NotAnExpressionError(ValueError):
    """The text is not in the grammar; the message says where it stops being so."""


@dataclass(frozen=True, slots=True)
class Expression:
    """The multisets of products that are added and subtracted; build it with :func:`expression`."""

    added: tuple[Product, ...]
    subtracted: tuple[Product, ...]

    @property
    def value(self) -> int:
        """What it comes to."""
        return sum(map(math.prod, self.added)) - sum(map(math.prod, self.subtracted))

    @property
    def numbers(self) -> tuple[int, ...]:
        """The numbers it uses, ascending, each as often as it is used."""
        return tuple(sorted(number for product in self.added + self.subtracted for number in product))

    @property
    def text(self) -> str:
        """The canonical form: factors ascending, products in order, what is added before what is subtracted."""
        added, subtracted = ([("*".join(map(str, p))) for p in part] for part in (self.added, self.subtracted))
        return "-".join(["+".join(added), *subtracted])


def expression(added: Iterable[Iterable[int]], subtracted: Iterable[Iterable[int]] = ()) -> Expression:
    """The expression that adds and subtracts these products, whatever order they and their factors come in."""
    plus, minus = (tuple(sorted(tuple(sorted(product)) for product in part)) for part in (added, subtracted))
    return Expression(plus, minus)


def parse(text: str) -> Expression:
    """The expression that ``text`` writes down.

    Raises:
        NotAnExpressionError: for anything outside the grammar, and for texts of unreasonable length.
    """
    tokens = _tokens(text)
    if not tokens:
        raise NotAnExpressionError("it is empty")
    parts: dict[str, list[list[int]]] = {"+": [], "-": []}
    operator = "+"
    product: list[int] = []
    for place, token in enumerate(tokens):
        if place % 2:
            if token.isdigit():
                raise NotAnExpressionError(f"{token} follows a number without an operator")
            operator = token
            continue
        if not token.isdigit():
            raise NotAnExpressionError(f"{token!r} stands where a number should")
        if operator == "*":
            product.append(int(token))
        else:
            product = [int(token)]
            parts[operator].append(product)
    if len(tokens) % 2 == 0:
        raise NotAnExpressionError("it ends where a number should follow")
    return expression(parts["+"], parts["-"])


def _tokens(text: str) -> list[str]:
    if len(text) > MAX_LENGTH:
        raise NotAnExpressionError(f"it is longer than {MAX_LENGTH} characters")
    tokens: list[str] = []
    place, end = 0, len(text.rstrip(" "))
    while place < end:
        match = _TOKEN.match(text, place)
        if match is None:
            raise NotAnExpressionError(f"it cannot be read from character {place + 1}")
        tokens.append(match[1])
        place = match.end()
    return tokens
