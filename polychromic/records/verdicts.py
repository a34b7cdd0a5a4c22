"""Verdicts as rows of ``verdicts.jsonl`` and back, joined to the samples they judge."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from polychromic.core.nouns import Status, Verdict
from polychromic.records.rows import read_nouns
from polychromic.records.samples import StoredSet

VerdictKey = tuple[str, str, float, int]
"""model, prompt id, temperature, sample index."""


@dataclass(frozen=True, slots=True)
class VerdictRow:
    """One row of ``verdicts.jsonl``: what a checker found on one sample."""

    model: str
    prompt_id: str
    temperature: float
    sample_index: int
    status: Status
    detail: str = ""
    answer: str | None = None


def verdict_keys(stored: StoredSet) -> list[VerdictKey]:
    """The keys of the verdicts on the set's completions, in order."""
    return [(stored.model, stored.samples.prompt.id, stored.temperature, index) for index in stored.indices]


def verdict_row(key: VerdictKey, verdict: Verdict) -> VerdictRow:
    """One row of ``verdicts.jsonl``."""
    return VerdictRow(*key, verdict.status, verdict.detail, verdict.answer)


def read_verdicts(path: str | Path) -> dict[VerdictKey, Verdict]:
    """All verdicts of a file by key, the last one for a key; empty when there is no file.

    Raises:
        RecordError: a row lacks a field or has an unknown status.
    """
    if not Path(path).exists():
        return {}
    return {
        (row.model, row.prompt_id, row.temperature, row.sample_index): Verdict(row.status, row.detail, row.answer)
        for _, row in read_nouns(path, VerdictRow)
    }


def verdicts_of(stored: StoredSet, verdicts: Mapping[VerdictKey, Verdict]) -> tuple[Verdict, ...]:
    """The verdicts on the set's completions, in order; ABSENT where there is none yet."""
    absent = Verdict(Status.ABSENT, "not judged")
    return tuple(verdicts.get(key, absent) for key in verdict_keys(stored))
