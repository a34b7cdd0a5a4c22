"""What a judge that is paid takes for samples that are not drawn yet: at most, from its own questions."""

from __future__ import annotations

from typing import Any

from polychromic.core.errors import PolychromicError
from polychromic.core.nouns import Bill
from polychromic.core.protocols import ForeseenTask
from polychromic.project.plan_rows import COUNTED, guessed_tokens
from polychromic.settings import catalog

UNPRICED = "the judge's price is not known: price_read and price_written of its task"


def judged(entry: Any, split: str, samples: float, longest: int) -> Bill | None:
    """At most what the task's judge takes for completions of ``longest`` tokens at most.

    None for a judge that is not paid, and where its prompts are not here.
    """
    try:
        task = None if entry is None else catalog.build("tasks", entry)
        if not isinstance(task, ForeseenTask):
            return None
        prompts = task.prompts(split)[:COUNTED]
    except PolychromicError:
        return None
    if not prompts or not samples:
        return None
    every, share = task.foreseen(prompts, longest, guessed_tokens), samples / len(prompts)
    read, written = (round((tokens or 0) * share) for tokens in (every.tokens_read, every.tokens_written))
    return Bill(round(samples), read, written, None if every.dollars is None else every.dollars * share)
