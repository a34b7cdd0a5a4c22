"""What a report takes from training runs' folders: curves, diversity weights, and what each run cost."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from polychromic.analysis.cost import Cost, account
from polychromic.records.artefacts import RunFolder
from polychromic.records.jsonl import read_json, read_rows
from polychromic.records.metric_names import renamed

PANELS: Mapping[str, str] = {
    "demonstration loss": "loss",
    "diversity of the samples": "polychromic/diversity_value",
    "loss - lambda * diversity": "polychromic/combined_loss",
    "share past the gate": "polychromic/frac_valid",
    "demonstration gradient, norm": "polychromic/demonstration_gradient",
    "diversity gradient, norm": "polychromic/diversity_gradient",
    "gradient share of diversity": "polychromic/gradient_share",
    "cosine of the gradients": "polychromic/gradient_cosine",
    "lambda_eff": "polychromic/lambda_eff",
    "off-support gain, limit 1 without a gate": "polychromic/off_support_gain",
}
"""Panels of the training figure, each with its number's name in ``metrics.jsonl``."""

Curves = dict[str, tuple[list[float], list[float]]]


def curves(run: Path) -> Curves:
    """Steps and values of each panel that a run's ``metrics.jsonl`` has at least two numbers for."""
    found: Curves = {}
    for row in _logs(run):
        for title, name in PANELS.items():
            value = row.get(name)
            if isinstance(value, int | float) and "step" in row:
                steps, values = found.setdefault(title, ([], []))
                steps.append(float(row["step"]))
                values.append(float(value))
    return {title: line for title, line in found.items() if len(line[0]) > 1}


def weight(run: Path) -> float | None:
    """The run's lambda, from its ``run.json``; None if it is not known."""
    section = (_facts(run).get("settings") or {}).get("polychromic") or {}
    value = section.get("lambda", section.get("diversity_weight"))
    return float(value) if isinstance(value, int | float) else None


def costs(runs: Mapping[str, Path], baseline: str) -> list[dict[str, Any]]:
    """The account of training: one row for each run that says how long it took; the multiplier is the baseline's."""
    found: dict[str, Cost] = {}
    for model, run in runs.items():
        seconds = _facts(run).get("seconds")
        if isinstance(seconds, int | float):
            tracking = (_facts(run).get("settings") or {}).get("tracking") or {}
            found[model] = Cost("training", _tokens(run), float(seconds), price_per_hour=tracking.get("price_per_hour"))
    return account(found, baseline) if found else []


def _tokens(run: Path) -> int:
    """Demonstration tokens trained on, plus tokens drawn for the diversity term."""
    trained = drawn = 0.0
    for row in _logs(run):
        trained = max(trained, float(row.get("num_tokens") or row.get("num_input_tokens_seen") or 0.0))
        drawn += float(row.get("polychromic/tokens_generated") or 0.0)
    return round(trained + drawn)


def _facts(run: Path) -> Mapping[str, Any]:
    path = RunFolder(run).run_json
    return read_json(path) if path.exists() else {}


def _logs(run: Path) -> list[dict[str, Any]]:
    path = RunFolder(run).metrics
    return [renamed(row) for _, row in read_rows(path)] if path.exists() else []
