"""``metrics.jsonl`` and ``training_samples.jsonl``: what a training run logs, row by row, each with its step."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from polychromic.core.errors import RecordError
from polychromic.records.jsonl import Row, read_log, scan_rows
from polychromic.records.metric_names import renamed

LARGEST = sys.float_info.max


@dataclass(frozen=True, slots=True)
class LoggedStep:
    """The finite numbers of one log, under today's names."""

    step: int
    numbers: Mapping[str, float]


def read_logs(path: str | Path) -> list[LoggedStep]:
    """The logs of a run in order; none when there is no file.

    Raises:
        RecordError: a row has no step.
    """
    if not Path(path).exists():
        return []
    return [LoggedStep(_step(path, line, row), _numbers(renamed(row))) for line, row in read_log(path)]


def rows_until(path: str | Path, step: int) -> list[Row]:
    """The rows of a log as they stand, up to and with a step: what a run keeps that is resumed there.

    The last row of a part, which sums it up, is not kept: the run's own end has one.

    Raises:
        RecordError: a row has no step.
    """
    return [row for line, row in read_log(path) if _step(path, line, row) <= step and "train_runtime" not in row]


def seconds_logged(path: str | Path) -> float:
    """The seconds of training that a run's log knows of; 0 without one, or in a log that has none."""
    rows = (row for _, row in scan_rows(path) if not isinstance(row, RecordError)) if Path(path).exists() else ()
    return max((_numbers(row).get("seconds", 0.0) for row in rows), default=0.0)


def _step(path: str | Path, line: int, row: Row) -> int:
    step = row.get("step")
    if not isinstance(step, int) or isinstance(step, bool):
        raise RecordError(f"{path}:{line}: step: expected a whole number")
    return step


def _numbers(row: Mapping[str, object]) -> dict[str, float]:
    return {
        name: float(value)
        for name, value in row.items()
        if isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < LARGEST and name != "step"
    }
