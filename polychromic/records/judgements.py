"""What a served judge said, kept on disk by the content of its question, so that nothing is asked or paid for twice.

Each answer is one durable write when it comes: a kill loses the requests under way alone. Processes may share a file;
each sees what stood there when it first looked, and what it adds itself.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from polychromic.core.errors import RecordError
from polychromic.records.jsonl import append_rows, scan_rows
from polychromic.records.rows import noun


@dataclass(frozen=True, slots=True)
class Judgement:
    """The judge's answer to the question ``key``, and the tokens it read and wrote, None where nobody says."""

    key: str
    answer: str
    finished: bool = True
    read: int | None = None
    written: int | None = None


class Judgements(Mapping[str, Judgement]):
    """The judgements of a file, by key; a row that a kill cut short is passed over."""

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path).expanduser()
        self._known: dict[str, Judgement] = {}
        for line, row in scan_rows(self.path) if self.path.exists() else ():
            if not isinstance(row, RecordError):
                found = noun(f"{self.path}:{line}", Judgement, row)
                self._known[found.key] = found

    def keep(self, judgement: Judgement) -> None:
        """Adds one, durably."""
        self._known[judgement.key] = judgement
        append_rows(self.path, [judgement])

    def __getitem__(self, key: str) -> Judgement:
        return self._known[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._known)

    def __len__(self) -> int:
        return len(self._known)
