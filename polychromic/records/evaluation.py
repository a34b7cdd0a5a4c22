"""An evaluation's folder: the names in it, and its samples and verdicts, parsed once for all stages."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Generic, TypeVar

from polychromic.core.errors import RecordError
from polychromic.core.nouns import Verdict
from polychromic.records.rows import read_noun
from polychromic.records.samples import StoredSet, read_sets
from polychromic.records.verdicts import VerdictKey, VerdictRow, read_verdict_rows, verdicts_on

Parsed = TypeVar("Parsed")


@dataclass(frozen=True, slots=True)
class EvaluationRecord:
    """The content of ``evaluation.json``: what the folder is an evaluation of, and what its stages were made from.

    ``pins`` are the settings that may not change, ``weights`` the digest of each model's adapter, ``stages`` the
    signature of each later stage's inputs, ``trusted`` is what was wrong with the checker where it was trusted all the
    same, ``metric_files`` the digests of metrics that are no part of the package.
    """

    pins: Mapping[str, Any] = field(default_factory=dict)
    weights: Mapping[str, str] = field(default_factory=dict)
    stages: Mapping[str, str] = field(default_factory=dict)
    metric_files: Mapping[str, str] = field(default_factory=dict)
    versions: Mapping[str, str] = field(default_factory=dict)
    git_revision: str | None = None
    price_per_hour: float | None = None
    price_per_million_tokens: float | None = None
    price_per_million_prompt_tokens: float | None = None
    trusted: str = ""


class EvaluationFolder:
    """The names inside one evaluation's folder; stages that share this object parse its long files once between them.

    What was read is read again when its file has changed. Results are shared: nobody may change them.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self._sets = _Read(self.samples, read_sets)
        self._verdicts = _Read(self.verdicts, read_verdict_rows)
        self._judged: tuple[object, object, Mapping[VerdictKey, Verdict]] | None = None

    @property
    def samples(self) -> Path:
        """Every completion, one row each."""
        return self.path / "samples.jsonl"

    @property
    def verdicts(self) -> Path:
        """What the checker found, one row a sample."""
        return self.path / "verdicts.jsonl"

    @property
    def measurements(self) -> Path:
        """Every metric on every prompt of every model."""
        return self.path / "measurements.jsonl"

    @property
    def comparison(self) -> Path:
        """Scores, paired comparisons and verdicts on the variants."""
        return self.path / "comparison.json"

    @property
    def record_file(self) -> Path:
        """What the folder is an evaluation of."""
        return self.path / "evaluation.json"

    def record(self) -> EvaluationRecord:
        """What ``evaluation.json`` says, an empty record without one; raises RecordError when it is damaged."""
        return read_noun(self.record_file, EvaluationRecord) if self.record_file.exists() else EvaluationRecord()

    def sets(self) -> Sequence[StoredSet]:
        """The sample sets, none without a file; raises what ``read_sets`` raises."""
        return self._sets.value() or ()

    def verdict_rows(self) -> Mapping[VerdictKey, VerdictRow]:
        """The rows of the verdicts by key, also those of samples that are gone; none without a file."""
        return self._verdicts.value() or {}

    def judged(self) -> Mapping[VerdictKey, Verdict]:
        """The verdicts on the folder's samples by key, none without a file; all of them where no samples are kept.

        Raises:
            RecordError: a row is wrong, or verdicts are about other texts than the samples have now.
        """
        sets, rows = self.sets(), self.verdict_rows()
        if not self.samples.exists():
            return {key: row.verdict for key, row in rows.items()}
        if self._judged is None or self._judged[0] is not sets or self._judged[1] is not rows:
            try:
                self._judged = (sets, rows, verdicts_on(sets, rows))
            except RecordError as error:
                raise RecordError(f"{self.verdicts}: {error}") from None
        return self._judged[2]


Folder = str | Path | EvaluationFolder
"""What a stage takes: a path, or the opened folder that other stages read too."""


def opened(folder: Folder) -> EvaluationFolder:
    """The folder itself when it is opened already."""
    return folder if isinstance(folder, EvaluationFolder) else EvaluationFolder(folder)


class _Read(Generic[Parsed]):
    """A file's content, read when it is asked for and the file is not the one that was read."""

    def __init__(self, path: Path, read: Callable[[Path], Parsed]) -> None:
        self.path, self.read = path, read
        self._seen: tuple[int, int, int] | None = None
        self._value: Parsed | None = None

    def value(self) -> Parsed | None:
        try:
            found = self.path.stat()
        except FileNotFoundError:
            return None
        seen = (found.st_ino, found.st_size, found.st_mtime_ns)
        if seen != self._seen:
            self._value = None  # never the old content and the new one in memory together
            self._value, self._seen = self.read(self.path), seen
        return self._value
