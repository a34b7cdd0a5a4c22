"""Measurements as rows of ``measurements.jsonl`` and back."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from polychromic.core.errors import InputError, RecordError
from polychromic.core.facts import MetricFacts
from polychromic.core.nouns import Measurement
from polychromic.records.jsonl import read_json, read_rows


@dataclass(frozen=True, slots=True)
class StoredMeasurement:
    """A measurement with the model and temperature it belongs to."""

    model: str
    temperature: float
    measurement: Measurement


def measurement_row(stored: StoredMeasurement) -> dict[str, Any]:
    """One row of ``measurements.jsonl``; NaN is written as null."""
    value = stored.measurement
    return {
        "model": stored.model,
        "temperature": stored.temperature,
        "prompt_id": value.prompt_id,
        "signature": value.signature,
        "numerator": value.numerator,
        "denominator": value.denominator,
        "reason": value.reason,
        "detail": dict(value.detail),
    }


def read_measurements(path: str | Path) -> list[StoredMeasurement]:
    """The rows of a measurements file, null read as NaN.

    Raises:
        RecordError: a row lacks a field, or a value is missing without a reason.
    """
    return [_checked(path, line, row) for line, row in read_rows(path)]


def facts_path(measurements: str | Path) -> Path:
    """The file beside a measurements file that says what its metrics mean."""
    return Path(measurements).with_suffix(".json")


def read_facts(measurements: str | Path) -> dict[str, MetricFacts]:
    """What the metrics of a measurements file mean, by signature; empty for a file that does not say.

    Raises:
        RecordError: the facts are wrong.
    """
    path = facts_path(measurements)
    rows = read_json(path).get("metrics", []) if path.exists() else []
    try:
        found = [MetricFacts.from_row(row) for row in rows if not isinstance(row, str)]
    except InputError as error:
        raise RecordError(f"{path}: metrics: {error}") from None
    return {facts.signature: facts for facts in found}


def _checked(path: str | Path, line: int, row: dict[str, Any]) -> StoredMeasurement:
    try:
        numerator, denominator = _number(row["numerator"]), _number(row["denominator"])
        reason = str(row.get("reason") or "")
        if math.isnan(numerator + denominator) and not reason:
            raise ValueError("a value is missing and no reason is given")
        detail = {str(name): _number(value) for name, value in (row.get("detail") or {}).items()}
        value = Measurement(str(row["prompt_id"]), str(row["signature"]), numerator, denominator, reason, detail)
        return StoredMeasurement(str(row["model"]), float(row["temperature"]), value)
    except KeyError as error:
        raise RecordError(f"{path}:{line}: the row has no {error.args[0]!r}") from None
    except (TypeError, ValueError, AttributeError) as error:
        raise RecordError(f"{path}:{line}: not a row of measurements: {error}") from None


def _number(value: Any) -> float:
    return float("nan") if value is None else float(value)
