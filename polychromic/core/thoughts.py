"""What a reasoning model writes before its answer: told apart, so that only the answer is measured and rewarded."""

from __future__ import annotations

import re

OPENING, CLOSING = "<think>", "</think>"
_BEGUN = re.compile(r"\s*<think(?:ing)?>")
_ENDED = re.compile(r"</think(?:ing)?>\s*")


def split_thought(text: str, opened: str = "") -> tuple[str, str]:
    """The thought that a text begins with and what follows it, both without the tags; no thought is empty.

    ``opened`` is the end of what the text was asked by: a template may open the thought itself. A thought that never
    ends leaves nothing to follow.
    """
    begun = _BEGUN.match(text)
    if begun is None and not opened.rstrip().endswith((OPENING, "<thinking>")):
        return "", text
    inside = text[begun.end() :] if begun else text
    ended = _ENDED.search(inside)
    if ended is None:
        return inside.strip(), ""
    return inside[: ended.start()].strip(), inside[ended.end() :]
