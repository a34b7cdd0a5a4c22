"""measurements.jsonl -> comparison.json."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from polychromic.analysis.comparison import compare
from polychromic.analysis.record import CompareSettings
from polychromic.analysis.seeds import family
from polychromic.analysis.table import known_facts
from polychromic.core.errors import InputError
from polychromic.core.facts import MetricFacts
from polychromic.records.artefacts import versions
from polychromic.records.evaluation import Folder, opened
from polychromic.records.harnesses import first_row
from polychromic.records.jsonl import write_json, write_rows
from polychromic.records.measurements import MeasurementRow, MeasurementsRecord, facts_path, read_record
from polychromic.records.rows import read_nouns

BASE = "base"
"""What a file's untrained model is called."""
LIKELY_BASELINES = ("sft", "baseline")


def run(
    folder: Folder, baseline: str | None = None, base: str | None = None, settings: CompareSettings | None = None
) -> Path:
    """The path of ``comparison.json``, written from the evaluation folder's measurements and verdicts.

    ``baseline`` is the model the others are compared with: by default the one called sft or baseline, else the first
    that is not called base (``likely_baseline``). ``settings`` gives the resampling plan, thresholds and temperature.

    Raises:
        InputError: a model is not there, or rows are wrong.
        MissingResourceError: the folder has no measurements.
    """
    folder = opened(folder)
    rows = [row for _, row in read_nouns(folder.measurements, MeasurementRow)]
    models = list(dict.fromkeys(row.model for row in rows))
    known = settings or CompareSettings("")
    base = base or known.base or next((name for name in models if name == BASE), None)
    chosen = CompareSettings(baseline or likely_baseline(models, {BASE, *known.untrained}), base)
    if settings is not None:
        bases = {model: own for model, own in settings.bases.items() if own != chosen.baseline}
        chosen = replace(settings, baseline=chosen.baseline, base=chosen.base, bases=bases)
    if chosen.base == chosen.baseline:
        chosen = replace(chosen, base=None)
    facts = known_facts(folder.measurements, rows)
    write_json(folder.comparison, compare(rows, facts, chosen, folder.judged(), versions()))
    return folder.comparison


def is_measurements(path: str | Path) -> bool:
    """Whether the file's first row is one of ``measurements.jsonl``."""
    row = first_row(path)
    return "signature" in row and "numerator" in row


def merge(files: Mapping[str, str | Path], folder: str | Path) -> Path:
    """``folder`` with one ``measurements.jsonl`` of several; a file of one model is called by its name in ``files``.

    Raises:
        InputError: two files hold a model of the same name.
        RecordError: a row is wrong.
    """
    merged: list[MeasurementRow] = []
    facts: dict[str, MetricFacts] = {}
    owner: dict[str, str] = {}
    for name, path in files.items():
        rows = [row for _, row in read_nouns(path, MeasurementRow)]
        if len({row.model for row in rows}) == 1:
            rows = [replace(row, model=name) for row in rows]
        for model in dict.fromkeys(row.model for row in rows):
            if owner.setdefault(model, name) != name:
                raise InputError(f"{path}: holds a model {model!r}, which {files[owner[model]]} holds too")
        merged += rows
        facts |= read_record(path).facts
    whole = Path(folder) / "measurements.jsonl"
    write_rows(whole, merged)
    write_json(facts_path(whole), MeasurementsRecord(tuple(facts.values())))
    return Path(folder)


def likely_baseline(models: Sequence[str], bases: Collection[str] = (BASE,)) -> str:
    """The model to compare with when nobody said which: sft, baseline, or the first that is no base.

    A trained model that stands alone is compared with its base, or nothing would be compared.
    """
    others = [name for name in models if name not in bases]
    if len(others) == 1 and len(models) > 1:
        return next(name for name in models if name in bases)
    for name in LIKELY_BASELINES:
        if found := next((model for model in models if family(model) == name), None):
            return found
    return others[0] if others else (models[0] if models else "")
