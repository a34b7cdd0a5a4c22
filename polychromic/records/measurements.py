"""Measurements as rows of ``measurements.jsonl`` and back."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from polychromic.core.errors import InputError
from polychromic.core.facts import MetricFacts
from polychromic.core.nouns import Measurement
from polychromic.records.rows import FloatOrNaN, read_noun, read_nouns


@dataclass(frozen=True, slots=True)
class StoredMeasurement:
    """A measurement with the model and temperature it belongs to."""

    model: str
    temperature: float
    measurement: Measurement


@dataclass(frozen=True, slots=True)
class MeasurementRow:
    """One row of ``measurements.jsonl``; a value that is missing has a reason."""

    model: str
    temperature: float
    prompt_id: str
    signature: str
    numerator: FloatOrNaN
    denominator: FloatOrNaN = 1.0
    reason: str = ""
    detail: Mapping[str, FloatOrNaN] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if math.isnan(self.numerator + self.denominator) and not self.reason:
            raise InputError(f"{self.signature}: a value is missing and no reason is given")


def measurement_row(stored: StoredMeasurement) -> MeasurementRow:
    """One row of ``measurements.jsonl``."""
    value = stored.measurement
    return MeasurementRow(
        stored.model,
        stored.temperature,
        value.prompt_id,
        value.signature,
        value.numerator,
        value.denominator,
        value.reason,
        value.detail,
    )


def read_measurements(path: str | Path) -> list[StoredMeasurement]:
    """The rows of a measurements file, null read as NaN.

    Raises:
        RecordError: a row lacks a field, or a value is missing without a reason.
    """
    return [
        StoredMeasurement(
            row.model,
            row.temperature,
            Measurement(row.prompt_id, row.signature, row.numerator, row.denominator, row.reason, row.detail),
        )
        for _, row in read_nouns(path, MeasurementRow)
    ]


def facts_path(measurements: str | Path) -> Path:
    """The file beside a measurements file that says what its metrics mean."""
    return Path(measurements).with_suffix(".json")


@dataclass(frozen=True, slots=True)
class MeasurementsRecord:
    """The file beside ``measurements.jsonl``: what the metrics mean, and the signature of what they were made of.

    ``digest`` is that of the measurements' file.
    """

    metrics: tuple[MetricFacts | str, ...] = ()
    signature: str = ""
    versions: Mapping[str, str] = field(default_factory=dict)
    digest: str = ""

    @property
    def facts(self) -> dict[str, MetricFacts]:
        """The metrics by signature; a file of an older version knows the signatures only."""
        return {each.signature: each for each in self.metrics if isinstance(each, MetricFacts)}


def read_record(measurements: str | Path) -> MeasurementsRecord:
    """What stands beside a measurements file; an empty record when nothing does.

    Raises:
        RecordError: it is damaged.
    """
    path = facts_path(measurements)
    return read_noun(path, MeasurementsRecord) if path.exists() else MeasurementsRecord()
