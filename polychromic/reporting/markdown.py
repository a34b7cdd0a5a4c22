"""Markdown that means what was meant: every value is escaped, once, by the one function here."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from polychromic.core.escaping import one_line

_ACTIVE = re.compile(r"([\\`*_\[\]<>#|~$!]|^[-+=]|(?<=^\d)[.)]|(?<=^\d\d)[.)])")
"""What can begin or end something in Markdown, and what makes a list of a line that it begins."""


class Markdown(str):
    """Text that is Markdown already and is not escaped again."""

    __slots__ = ()


def escaped(value: Any) -> Markdown:
    """The value as Markdown in one line: it is read as it was written, and can open no table, heading, link or tag."""
    if isinstance(value, Markdown):
        return value
    return Markdown(_ACTIVE.sub(r"\\\1", one_line(str(value)).replace("&", "&amp;")))


def code(value: Any) -> Markdown:
    """The value between backticks, in one line, where nothing but the backtick means anything; also in a table."""
    return Markdown("`" + one_line(str(value)).replace("`", "'").replace("|", "\\|") + "`")


def table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> Markdown:
    """A Markdown table; text columns left, the others right."""
    lines = ["| " + " | ".join(map(escaped, columns)) + " |", "|" + "---|" + "---:|" * (len(columns) - 1)]
    lines += ["| " + " | ".join(map(escaped, row)) + " |" for row in rows]
    return Markdown("\n".join(lines))
