"""measurements.jsonl -> comparison.json."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from polychromic.analysis.comparison import CompareSettings, compare
from polychromic.records.artefacts import versions
from polychromic.records.jsonl import read_rows, write_json

LIKELY_BASELINES = ("sft", "baseline")


def run(
    folder: str | Path, baseline: str | None = None, base: str | None = None, settings: CompareSettings | None = None
) -> Path:
    """The path of ``comparison.json``, written from the evaluation folder's measurements and verdicts.

    ``baseline`` is the model the others are compared with: by default the one called sft or baseline, else the first
    that is not called base. ``settings`` gives the resampling plan, thresholds and temperature.

    Raises:
        InputError: a model is not there, or rows are wrong.
        MissingResourceError: the folder has no measurements.
    """
    folder = Path(folder)
    rows = [row for _, row in read_rows(folder / "measurements.jsonl")]
    models = list(dict.fromkeys(str(row.get("model")) for row in rows))
    base = base or next((name for name in models if name == "base"), None)
    chosen = CompareSettings(baseline or likely_baseline(models), base)
    if settings is not None:
        chosen = replace(settings, baseline=chosen.baseline, base=chosen.base)
    if chosen.base == chosen.baseline:
        chosen = replace(chosen, base=None)
    verdicts = folder / "verdicts.jsonl"
    judged = [row for _, row in read_rows(verdicts)] if verdicts.exists() else []
    path = folder / "comparison.json"
    write_json(path, compare(rows, chosen, judged, versions()))
    return path


def likely_baseline(models: Sequence[str]) -> str:
    """The model to compare with when nobody said which: sft, baseline, or the first that is not the base model."""
    for name in LIKELY_BASELINES:
        if name in models:
            return name
    others = [name for name in models if name != "base"]
    return others[0] if others else (models[0] if models else "")
