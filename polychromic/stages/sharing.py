"""``samples.jsonl`` as several ranks, or a crew, draw it: whoever is free draws a part, and parts are kept in order.

Who draws a part does not change it, as its seed is its own; so the file is that of one process.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar

from polychromic.records.jsonl import AppendLog, read_rows
from polychromic.training.ranks import Ranks

Part = TypeVar("Part")


class SharedLog:
    """The log ``path``, for all ranks. Rank 0 alone holds it; the others' rows, and its own, wait in a file a part.

    What is left of an interrupted call is added first. One rank alone writes straight into the log.
    """

    def __init__(self, path: Path, ranks: Ranks) -> None:
        self.path, self.ranks = path, ranks
        self._waiting = path.with_name(f"{path.stem}.parts")
        self._held = ExitStack()
        self._log: AppendLog | None = None

    def __enter__(self) -> SharedLog:
        if self.ranks.first:
            self._log = self._held.enter_context(AppendLog(self.path))
            self.collect()
        self.ranks.wait()
        return self

    def share(self, parts: Sequence[Part]) -> Iterator[tuple[int, Part]]:
        """This rank's parts with their places, one at a time as it asks for them; every rank names the same parts."""
        if self.ranks.count == 1:
            yield from enumerate(parts)
            return
        self.ranks.wait()  # nobody draws before everybody has read what there is
        whole = self._log
        for place in self.ranks.handed_out(len(parts)):
            with self._part(place) as self._log:
                yield place, parts[place]
        self._log = whole
        self.ranks.wait()
        if self.ranks.first:
            self.collect()

    def append(self, rows: Iterable[Any]) -> None:
        """Adds rows of the part that was asked for last; durable when it returns."""
        assert self._log is not None
        self._log.append(rows)

    def keep(self, place: int, rows: Iterable[Any]) -> None:
        """The rows of a part that a crew has drawn; durable when it returns, and in the log by ``collect``."""
        with self._part(place) as log:
            log.append(rows)

    def _part(self, place: int) -> AppendLog:
        return AppendLog(self._waiting / f"{place:06d}.jsonl")

    def collect(self) -> None:
        """Moves what waits into the log, in parts' order."""
        for path in sorted(self._waiting.glob("*.jsonl")):
            AppendLog(path).close()  # mends a half-written last line
            self.append(row for _, row in read_rows(path))
            path.unlink()
        if self._waiting.is_dir():
            for lock in self._waiting.iterdir():
                lock.unlink()
            self._waiting.rmdir()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._held.close()
