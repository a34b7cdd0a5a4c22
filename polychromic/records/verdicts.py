"""Verdicts as rows of ``verdicts.jsonl`` and back, joined to the samples they judge."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from polychromic.core.errors import RecordError
from polychromic.core.nouns import Status, Verdict
from polychromic.records.jsonl import read_rows
from polychromic.records.samples import StoredSet

Key = tuple[str, str, float, int]
"""model, prompt id, temperature, sample index."""


def verdict_keys(stored: StoredSet) -> list[Key]:
    """The keys of the verdicts on the set's completions, in order."""
    return [(stored.model, stored.samples.prompt.id, stored.temperature, index) for index in stored.indices]


def verdict_row(key: Key, verdict: Verdict) -> dict[str, Any]:
    """One row of ``verdicts.jsonl``."""
    model, prompt_id, temperature, index = key
    return {
        "model": model,
        "prompt_id": prompt_id,
        "temperature": temperature,
        "sample_index": index,
        "status": verdict.status.value,
        "detail": verdict.detail,
        "answer": verdict.answer,
    }


def read_verdicts(path: str | Path) -> dict[Key, Verdict]:
    """All verdicts of a file by key, the last one for a key; empty when there is no file.

    Raises:
        RecordError: a row lacks a field or has an unknown status.
    """
    found: dict[Key, Verdict] = {}
    if not Path(path).exists():
        return found
    for line, row in read_rows(path):
        try:
            key = (row["model"], row["prompt_id"], float(row["temperature"]), int(row["sample_index"]))
            found[key] = Verdict(Status(row["status"]), row.get("detail") or "", row.get("answer"))
        except KeyError as error:
            raise RecordError(f"{path}:{line}: the row has no {error.args[0]!r}") from None
        except (TypeError, ValueError) as error:
            raise RecordError(f"{path}:{line}: not a row of verdicts: {error}") from None
    return found


def verdicts_of(stored: StoredSet, verdicts: Mapping[Key, Verdict]) -> tuple[Verdict, ...]:
    """The verdicts on the set's completions, in order; ABSENT where there is none yet."""
    absent = Verdict(Status.ABSENT, "not judged")
    return tuple(verdicts.get(key, absent) for key in verdict_keys(stored))
