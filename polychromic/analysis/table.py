"""Measurements of several models as aligned arrays: model x temperature x signature, paired by prompt id."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from polychromic.analysis.resampling import Array, scores
from polychromic.core.errors import InputError, SettingsError
from polychromic.core.facts import MetricFacts, read_signature
from polychromic.records.measurements import MeasurementRow, read_record
from polychromic.settings.catalog import kind_class

CellKey = tuple[str, float, str]
"""model, temperature, signature."""
NOT_MEASURED = "not measured"
TEXTS = ("texts", "empty", "cut")


@dataclass(frozen=True, slots=True)
class Cell:
    """One metric of one model at one temperature over all prompts, ``[p]`` each; ``valid`` marks what was computed.

    ``texts`` counts the texts its numbers were made of, as the measurements tell: "texts", "empty" (left out) and "cut"
    (longer than the encoder reads).
    """

    numerator: Array
    denominator: Array
    valid: np.ndarray[Any, np.dtype[np.bool_]]
    reasons: Mapping[str, int] = field(default_factory=dict)
    texts: Mapping[str, float] = field(default_factory=dict)

    @property
    def score(self) -> float:
        """``sum(numerator) / sum(denominator)`` over the valid prompts, NaN without any."""
        return float(scores(self.numerator[:, None], self.denominator[:, None])[0])

    @property
    def values(self) -> Array:
        """Each prompt's own value, NaN where it could not be computed."""
        usable = self.valid & (self.denominator != 0)
        found = np.full(len(self.numerator), np.nan)
        found[usable] = self.numerator[usable] / self.denominator[usable]
        return found

    @property
    def reason(self) -> str:
        """Why prompts are missing, with counts; empty if none is."""
        return "; ".join(f"{reason} ({count} prompts)" for reason, count in self.reasons.items())

    def kept(self, keep: np.ndarray[Any, np.dtype[np.bool_]]) -> tuple[Array, Array]:
        """Numerator and denominator with zeros where ``keep`` is False."""
        return np.where(keep, self.numerator, 0.0), np.where(keep, self.denominator, 0.0)


@dataclass(frozen=True, slots=True)
class MeasurementTable:
    """All cells, over one sorted list of prompt ids.

    ``facts`` says what each signature means, ``asked`` which prompts each model has rows for.
    """

    prompts: tuple[str, ...]
    models: tuple[str, ...]
    temperatures: tuple[float, ...]
    facts: Mapping[str, MetricFacts]
    cells: Mapping[CellKey, Cell]
    asked: Mapping[str, frozenset[str]]

    @property
    def signatures(self) -> tuple[str, ...]:
        """The metrics' signatures, in order of appearance."""
        return tuple(self.facts)

    def cell(self, model: str, temperature: float, signature: str) -> Cell | None:
        """One cell, None if it was not measured."""
        return self.cells.get((model, temperature, signature))

    def swept(self, model: str) -> list[float]:
        """The temperatures a model was measured at, rising."""
        return sorted({temperature for name, temperature, _ in self.cells if name == model})


def known_facts(path: str | Path, rows: Iterable[MeasurementRow]) -> dict[str, MetricFacts]:
    """What each metric of a measurements file means: as is stored beside it, else as our own shelf has it.

    Raises:
        InputError: neither knows a row's metric.
        RecordError: what is stored is wrong.
    """
    facts = read_record(path).facts
    for signature in dict.fromkeys(row.signature for row in rows):
        if signature in facts:
            continue
        kind, _ = read_signature(signature)
        try:
            facts[signature] = MetricFacts.of(kind_class("metrics", kind), signature)
        except SettingsError as error:
            raise InputError(f"{path}: what {signature} means is not stored beside it, and {error}") from None
    return facts


def read_table(rows: Iterable[MeasurementRow], facts: Mapping[str, MetricFacts]) -> MeasurementTable:
    """The table of ``measurements.jsonl`` rows; models in order of appearance.

    Raises:
        InputError: a metric lacks facts, or two rows have the same model, temperature, prompt
            and signature.
    """
    grouped: dict[CellKey, dict[str, tuple[float, float, str]]] = {}
    models: dict[str, None] = {}
    texts: dict[CellKey, Counter[str]] = {}
    for number, row in enumerate(rows, start=1):
        key = (row.model, row.temperature, row.signature)
        models.setdefault(row.model)
        cell = grouped.setdefault(key, {})
        if row.prompt_id in cell:
            raise InputError(
                f"measurements row {number}: prompt {row.prompt_id!r} measured twice for {row.model} at temperature"
                f" {row.temperature:g} by {row.signature}"
            )
        counts = {name: row.detail[name] for name in TEXTS if name in row.detail}
        texts.setdefault(key, Counter()).update(counts)
        cell[row.prompt_id] = (row.numerator, row.denominator, row.reason)
    if not grouped:
        raise InputError("measurements: no rows")
    prompts = tuple(sorted({prompt for cell in grouped.values() for prompt in cell}))
    cells = {key: replace(_cell(found, prompts), texts=dict(texts[key])) for key, found in grouped.items()}
    temperatures = tuple(sorted({key[1] for key in grouped}))
    signatures = dict.fromkeys(key[2] for key in grouped)
    unknown = [each for each in signatures if each not in facts]
    if unknown:
        raise InputError(f"measurements: nothing says what {unknown[0]!r} means")
    asked = {model: frozenset(p for key, cell in grouped.items() if key[0] == model for p in cell) for model in models}
    return MeasurementTable(
        prompts, tuple(models), temperatures, {each: facts[each] for each in signatures}, cells, asked
    )


def _cell(found: Mapping[str, tuple[float, float, str]], prompts: Sequence[str]) -> Cell:
    absent = (math.nan, math.nan, NOT_MEASURED)
    rows = [found.get(prompt, absent) for prompt in prompts]
    numerator, denominator = np.array([row[0] for row in rows]), np.array([row[1] for row in rows])
    valid = np.isfinite(numerator) & np.isfinite(denominator)
    reasons: dict[str, int] = {}
    for row, good in zip(rows, valid, strict=True):
        if not good:
            reason = row[2] or "not a number, no reason given"
            reasons[reason] = reasons.get(reason, 0) + 1
    return Cell(np.where(valid, numerator, 0.0), np.where(valid, denominator, 0.0), valid, reasons)
