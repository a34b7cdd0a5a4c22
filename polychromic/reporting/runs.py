"""What a report takes from training runs' folders: curves, diversity weights, and what each run cost."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from polychromic.analysis import spending
from polychromic.analysis.cost import AccountRow, Cost, Prices, account
from polychromic.analysis.nouns import Flag
from polychromic.records.artefacts import RunFolder
from polychromic.records.logs import read_logs
from polychromic.records.metric_names import is_spent

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

HELD_OUT = "eval_"
MOSTLY_DEAD = 0.5
"""Of a run's diversity steps without effect, from which on its report warns."""
LAMBDA = ("lambda", "diversity_weight")
VARIED = ("polychromic", "training", "lora", "data", "model", "quantization")
"""Sections in which runs may differ on purpose."""
Curves = dict[str, tuple[list[float], list[float]]]


def curves(run: Path) -> Curves:
    """Steps and values of each panel that a run's ``metrics.jsonl`` has at least two numbers for.

    After ``PANELS`` come the numbers of the held-out prompts and demonstrations.
    """
    found: Curves = {}
    logs = read_logs(RunFolder(run).metrics)
    seen = dict.fromkeys(name for log in logs for name in log.numbers if name.startswith(HELD_OUT))
    held_out = {f"held out: {name.removeprefix(HELD_OUT).replace('_', ' ')}": name for name in seen}
    panels = {**PANELS, **{title: name for title, name in held_out.items() if not is_spent(name)}}
    for log in logs:
        for title, name in panels.items():
            if name in log.numbers:
                steps, values = found.setdefault(title, ([], []))
                steps.append(float(log.step))
                values.append(log.numbers[name])
    return {title: found[title] for title in panels if len(found.get(title, ((),))[0]) > 1}


def weight(run: Path) -> float | None:
    """The run's lambda, from its ``run.json``; None if it is not known."""
    return RunFolder(run).record().number("polychromic", *LAMBDA)


def lines(folders: Mapping[str, Path]) -> dict[str, list[str]]:
    """The runs that differ in nothing but lambda and the seed, by what tells such a group from the others.

    With lambda 0 the other settings of the term are idle, so such a run may stand on several lines.
    """
    own: dict[str, dict[str, str]] = {}
    for model, folder in folders.items():
        settings = RunFolder(folder).record().settings
        sections = VARIED if weight(folder) else VARIED[1:]
        pairs = ((section, key, value) for section in sections for key, value in (settings.get(section) or {}).items())
        own[model] = {f"{section}.{key}": str(value) for section, key, value in pairs if key not in LAMBDA}
    dosed = [model for model in own if weight(folders[model])]
    seen = dict.fromkeys(key for model in dosed for key in own[model])
    apart = [key for key in seen if len({own[model].get(key) for model in dosed}) > 1]
    found: dict[str, list[str]] = {}
    for model in dosed:
        label = ", ".join(f"{key.rpartition('.')[2]} {own[model].get(key)}" for key in apart)
        found.setdefault(label, []).append(model)
    for models in found.values():
        models += [each for each in own if each not in dosed and own[each].items() <= own[models[0]].items()]
    return found


def costs(runs: Mapping[str, Path], baseline: str) -> list[AccountRow]:
    """The account of training: one row for each run that says how long it took; the multiplier is the baseline's."""
    found: dict[str, Cost] = {}
    dollars: dict[str, float] = {}
    for model, run in runs.items():
        prices = Prices(RunFolder(run).record().number("tracking", "price_per_hour"))
        if rows := spending.rows_of(run):
            seconds = math.fsum(spending.cost_of(row, prices).device_seconds for row in rows)
            found[model] = Cost("training", _tokens(run), seconds)
            dollars[model] = spending.dollars(rows, prices)
    return [replace(row, dollars=dollars[row.model]) for row in account(found, baseline)]


def health_flags(runs: Mapping[str, Path], weights: Mapping[str, str]) -> list[Flag]:
    """What the training runs say of their health, and which models have the same weights (by their digests)."""
    found = []
    for model, run in runs.items():
        health = RunFolder(run).record().health
        dead = health.dead_share >= MOSTLY_DEAD
        found += [Flag("training", "warning", f"{model}: {line}.", model) for line in health.finding_lines()]
        found += [
            Flag("training", "warning" if dead else "note", f"{model}: {line}.", model) for line in health.term_lines()
        ]
    owners: dict[str, list[str]] = {}
    for model, digest in weights.items():
        owners.setdefault(digest, []).append(model)
    for digest, models in owners.items():
        if digest and len(models) > 1:
            said = f"{' and '.join(models)} have the same adapter: what differs between them is chance alone."
            found.append(Flag("same weights", "warning", said, models[-1]))
    return found


def _tokens(run: Path) -> int:
    """Demonstration tokens trained on, plus tokens drawn for the diversity term and for held-out prompts."""
    trained = drawn = 0.0
    for log in read_logs(RunFolder(run).metrics):
        counted = log.numbers.get("num_tokens") or log.numbers.get("num_input_tokens_seen") or 0.0
        trained = max(trained, counted)
        drawn += log.numbers.get("polychromic/tokens_generated", 0.0) + log.numbers.get("eval_tokens_generated", 0.0)
    return round(trained + drawn)
