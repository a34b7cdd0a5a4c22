"""``costs.jsonl``: what each piece of an evaluation's work took, a row each, written once when the piece is done.

The file stands apart from the results: seconds differ from run to run, samples and measurements do not. No result, no
signature and no digest reads it.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from polychromic.core.errors import RecordError
from polychromic.records.jsonl import encode, scan_rows
from polychromic.records.samples import StoredSet

COSTS = "costs.jsonl"


@dataclass(frozen=True, slots=True)
class Spent:
    """Wall-clock and processor seconds of one piece of work; ``device`` is what did it ("cpu", "cuda", an engine).

    A row of sampling is about one set: ``tokens`` holds how many each of its samples ``indices`` has, None from an
    engine that does not give its tokens. Rows of other stages are about a model, or about all (``model`` empty).
    """

    stage: str
    seconds: float
    processor_seconds: float
    device: str = "cpu"
    model: str = ""
    temperature: float | None = None
    prompt_id: str = ""
    indices: tuple[int, ...] = ()
    tokens: tuple[int, ...] | None = None


class Meter:
    """A stopwatch of wall-clock and processor seconds."""

    def __init__(self) -> None:
        self._read = (time.perf_counter(), time.process_time())

    def lap(self) -> tuple[float, float]:
        """Wall-clock and processor seconds since the start or the last lap."""
        before, self._read = self._read, (time.perf_counter(), time.process_time())
        return self._read[0] - before[0], self._read[1] - before[1]


def drawn(sets: Sequence[StoredSet], lap: tuple[float, float], device: str) -> list[Spent]:
    """A row for each of sets that were drawn together in ``lap``, which is divided by their numbers of tokens."""
    sizes = [[len(completion.token_ids) for completion in stored.samples.completions] for stored in sets]
    weights = [sum(size) or len(size) for size in sizes]
    whole = sum(weights)
    return [
        Spent(
            "sample",
            lap[0] * weight / whole,
            lap[1] * weight / whole,
            device,
            stored.model,
            stored.temperature,
            stored.samples.prompt.id,
            stored.indices,
            tuple(size) if any(size) else None,
        )
        for stored, size, weight in zip(sets, sizes, weights, strict=True)
    ]


def append(folder: str | Path, rows: Iterable[Spent]) -> None:
    """Adds rows to the folder's account in one durable write, which needs no lock: stages may run side by side."""
    data = b"".join(encode({key: value for key, value in asdict(row).items() if _said(value)}) for row in rows)
    path = Path(folder) / COSTS
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a+b", buffering=0) as file:
        end = file.seek(0, os.SEEK_END)
        if end:
            file.seek(end - 1)
            data = data if file.read(1) == b"\n" else b"\n" + data  # a crash cut the last row
        file.write(data)
        os.fsync(file.fileno())


def _said(value: object) -> bool:
    return value is not None and value not in ("", ())


@contextmanager
def spending(folder: str | Path, stage: str) -> Iterator[None]:
    """Writes what the work inside took, when it ends well."""
    meter = Meter()
    yield
    append(folder, [Spent(stage, *meter.lap())])


def read_costs(folder: str | Path) -> list[Spent]:
    """The folder's rows in order; none when there is no file. A row that a crash cut is passed over."""
    path = Path(folder) / COSTS
    if not path.exists():
        return []
    found = (_spent(row) for _, row in scan_rows(path) if not isinstance(row, RecordError))
    return [row for row in found if row is not None]


def _spent(row: Mapping[str, Any]) -> Spent | None:
    try:
        numbers = {"indices": tuple(row.get("indices") or ())}
        tokens = row.get("tokens")
        return Spent(**{**row, **numbers, "tokens": None if tokens is None else tuple(tokens)})
    except TypeError:
        return None
