"""Verdicts as rows of ``verdicts.jsonl`` and back, joined to the samples they judge."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from polychromic.core.errors import RecordError
from polychromic.core.nouns import Status, Verdict
from polychromic.records.rows import log_nouns
from polychromic.records.samples import StoredSet

VerdictKey = tuple[str, str, float, int]
"""model, prompt id, temperature, sample index."""


@dataclass(frozen=True, slots=True)
class VerdictRow:
    """One row of ``verdicts.jsonl``: what a checker found on one sample.

    ``sample`` and ``checker`` say what it was made of: the digests of the sample (``StoredSet.digests``) and of all
    that judged it. Rows of an older version, or of anyone's, have none.
    """

    model: str
    prompt_id: str
    temperature: float
    sample_index: int
    status: Status
    detail: str = ""
    answer: str | None = None
    sample: str = ""
    checker: str = ""

    @property
    def key(self) -> VerdictKey:
        """Which sample it is about."""
        return (self.model, self.prompt_id, self.temperature, self.sample_index)

    @property
    def verdict(self) -> Verdict:
        """What was found."""
        return Verdict(self.status, self.detail, self.answer)


def verdict_keys(stored: StoredSet) -> list[VerdictKey]:
    """The keys of the verdicts on the set's completions, in order."""
    return [(stored.model, stored.samples.prompt.id, stored.temperature, index) for index in stored.indices]


def verdict_row(key: VerdictKey, verdict: Verdict, sample: str = "", checker: str = "") -> VerdictRow:
    """One row of ``verdicts.jsonl``, with the digests of what it was made of."""
    return VerdictRow(*key, verdict.status, verdict.detail, verdict.answer, sample, checker)


def read_verdict_rows(path: str | Path) -> dict[VerdictKey, VerdictRow]:
    """All rows of a file by key, the last one for a key; empty when there is no file.

    Raises:
        RecordError: a row lacks a field or has an unknown status.
    """
    return {row.key: row for _, row in log_nouns(path, VerdictRow)} if Path(path).exists() else {}


def verdicts_on(sets: Iterable[StoredSet], rows: Mapping[VerdictKey, VerdictRow]) -> dict[VerdictKey, Verdict]:
    """The verdicts on the sets' completions; rows about samples that are not there are passed over.

    Raises:
        RecordError: a verdict is about another text, or another wording of the prompt, than the sample has now.
    """
    found: dict[VerdictKey, Verdict] = {}
    stale: list[VerdictKey] = []
    for stored in sets if rows else ():
        for key, digest in zip(verdict_keys(stored), stored.digests, strict=True):
            row = rows.get(key)
            if row is not None and row.sample in ("", digest):
                found[key] = row.verdict
            elif row is not None:
                stale.append(key)
    if stale:
        model, prompt, _, index = stale[0]
        raise RecordError(
            f"{len(stale)} verdicts are not about the samples that are there now (the first: sample {index} of prompt "
            f"{prompt!r} by {model}); `polychromic verify` or `evaluate` makes them anew"
        )
    return found


def verdicts_of(stored: StoredSet, verdicts: Mapping[VerdictKey, Verdict]) -> tuple[Verdict, ...]:
    """The verdicts on the set's completions, in order; ABSENT where there is none yet."""
    absent = Verdict(Status.ABSENT, "not judged")
    return tuple(verdicts.get(key, absent) for key in verdict_keys(stored))
