"""A look at a data file before it costs anything: counts, lengths, duplicates, rows that would be dropped."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from polychromic.core.errors import RecordError
from polychromic.core.nouns import Prompt
from polychromic.records.conversations import Row, read_conversations


@dataclass(frozen=True, slots=True)
class Lengths:
    """Words per text: the middle, the 95th percentile and the longest."""

    median: int
    p95: int
    longest: int


@dataclass(frozen=True, slots=True)
class DataReport:
    """What a data file holds; ``bad`` has one ``file:line: reason`` for each row that training would refuse."""

    path: str
    rows: int
    forms: dict[str, int]
    prompts: int
    repeated_rows: int
    shared_prompts: int
    prompt_words: Lengths | None
    completion_words: Lengths | None
    bad: tuple[str, ...]


def examine(path: str | Path) -> DataReport:
    """Counts and lengths of a file, bad rows included.

    Raises:
        MissingResourceError: there is no such file.
        RecordError: the file holds no row at all.
    """
    bad: list[RecordError] = []
    rows = read_conversations(path, bad.append)
    if not rows and not bad:
        raise RecordError(f"{path}: is empty")
    prompts = Counter(row.example.prompt.content for row in rows)
    pairs = Counter((row.example.prompt.content, row.example.demonstration) for row in rows)
    return DataReport(
        path=str(path),
        rows=len(rows) + len(bad),
        forms=dict(Counter(row.form for row in rows)),
        prompts=len(prompts),
        repeated_rows=sum(count - 1 for count in pairs.values()),
        shared_prompts=sum(1 for count in prompts.values() if count > 1),
        prompt_words=_lengths([_words(row.example.prompt) for row in rows]),
        completion_words=_lengths([_demonstration_words(row) for row in rows if row.demonstrated]),
        bad=tuple(str(error) for error in bad),
    )


def _words(prompt: Prompt) -> int:
    turns = [prompt.content] if isinstance(prompt.content, str) else [turn.content for turn in prompt.content]
    return sum(len(turn.split()) for turn in turns)


def _demonstration_words(row: Row) -> int:
    return len(row.example.demonstration.split())


def _lengths(counts: list[int]) -> Lengths | None:
    if not counts:
        return None
    ordered = sorted(counts)
    return Lengths(ordered[len(ordered) // 2], ordered[min(len(ordered) - 1, len(ordered) * 95 // 100)], ordered[-1])
