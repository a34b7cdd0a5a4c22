"""``costs.jsonl``: what each piece of a training's or an evaluation's work took, a row each, written when it is done.

The file stands apart from the results: seconds differ from run to run, samples and measurements do not. No result, no
signature and no digest reads it.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from polychromic.core.errors import RecordError
from polychromic.core.nouns import Bill
from polychromic.core.protocols import BilledTask, Task
from polychromic.records.jsonl import append_rows, scan_rows
from polychromic.records.rows import noun, to_row
from polychromic.records.samples import StoredSet

COSTS = "costs.jsonl"


@dataclass(frozen=True, slots=True)
class TimingRow:
    """Wall-clock and processor seconds of one piece of work; ``device`` is what did it ("cpu", "cuda", an engine).

    A row of sampling is about one set: ``tokens`` holds how many each of its samples ``indices`` has, ``tokens_read``
    how many of its prompt a server read for them; None from an engine that does not say it. Rows of other stages are
    about a model, or about all (``model`` empty).
    ``devices`` did the work at the same time; ``price_per_hour`` is what one of them cost then, in dollars, where it
    was known.
    ``bill`` is what a served model took for it, in a row without seconds: they are those of the stage that waited.
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
    devices: int = 1
    price_per_hour: float | None = None
    bill: Bill | None = None
    tokens_read: int | None = None


class Meter:
    """A stopwatch of wall-clock and processor seconds."""

    def __init__(self) -> None:
        self._read = (time.perf_counter(), time.process_time())

    def elapsed(self) -> tuple[float, float]:
        """Wall-clock and processor seconds since the start, or since this was last asked."""
        before, self._read = self._read, (time.perf_counter(), time.process_time())
        return self._read[0] - before[0], self._read[1] - before[1]


def drawn(sets: Sequence[StoredSet], elapsed: tuple[float, float], device: str) -> list[TimingRow]:
    """A row for each of sets that were drawn together in ``elapsed``, divided by their numbers of tokens."""
    sizes = [[len(one.token_ids) or one.counted or 0 for one in stored.samples.completions] for stored in sets]
    weights = [sum(size) or len(size) for size in sizes]
    whole = sum(weights)
    return [
        TimingRow(
            "sample",
            elapsed[0] * weight / whole,
            elapsed[1] * weight / whole,
            device,
            stored.model,
            stored.temperature,
            stored.samples.prompt.id,
            stored.indices,
            tuple(size) if any(size) else None,
            tokens_read=_sum(one.read for one in stored.samples.completions),
        )
        for stored, size, weight in zip(sets, sizes, weights, strict=True)
    ]


def append(folder: str | Path, rows: Iterable[TimingRow]) -> None:
    """Adds rows to the folder's account in one durable write, which needs no lock: stages may run side by side."""
    said = ({key: value for key, value in to_row(row).items() if _said(key, value)} for row in rows)
    append_rows(Path(folder) / COSTS, said)


def _said(name: str, value: object) -> bool:
    return value is not None and value not in ("", []) and (name, value) != ("devices", 1)


def total(bills: Iterable[Bill]) -> Bill | None:
    """All bills in one, where a number that one of them lacks is None; None without a bill."""
    found = list(bills)
    if not found:
        return None
    read, written = (_sum(getattr(one, name) for one in found) for name in ("tokens_read", "tokens_written"))
    dollars = None if any(one.dollars is None for one in found) else math.fsum(one.dollars or 0.0 for one in found)
    return Bill(sum(one.requests for one in found), read, written, dollars)


def _sum(counts: Iterable[int | None]) -> int | None:
    known = list(counts)
    return None if None in known else sum(count or 0 for count in known)


@contextmanager
def billed(folder: str | Path, task: Task | None) -> Iterator[None]:
    """Writes what the task's judge took for the work inside, however it ends."""
    try:
        yield
    finally:
        charge(folder, task)


def charge(folder: str | Path, task: Task | None) -> None:
    """Writes what the task's judge took since this was last done, where it is paid and took something."""
    bill = task.bill() if isinstance(task, BilledTask) else None
    if task is not None and bill is not None:
        append(folder, [TimingRow("judge", 0.0, 0.0, task.name, bill=bill)])


@contextmanager
def timed(folder: str | Path, stage: str) -> Iterator[None]:
    """Writes what the work inside took, when it ends well."""
    meter = Meter()
    yield
    append(folder, [TimingRow(stage, *meter.elapsed())])


def accounts_in(root: str | Path) -> dict[Path, list[TimingRow]]:
    """The rows of every folder below ``root``, itself included, that has an account; by folder, in order of its name.

    Raises:
        RecordError: a row lacks a field, or a field is wrong.
    """
    return {path.parent: read_costs(path.parent) for path in sorted(Path(root).rglob(COSTS))}


def read_costs(folder: str | Path) -> list[TimingRow]:
    """The folder's rows in order; none when there is no file. A line that a crash cut is passed over.

    Raises:
        RecordError: a row lacks a field, or a field is wrong.
    """
    path = Path(folder) / COSTS
    if not path.exists():
        return []
    whole = ((line, row) for line, row in scan_rows(path) if not isinstance(row, RecordError))
    return [noun(f"{path}:{line}", TimingRow, row) for line, row in whole]
