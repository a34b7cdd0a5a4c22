"""What diversity costs in quality, and after how many samples one more stops paying."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from polychromic.core.facts import MetricFacts
from polychromic.core.nouns import Status
from polychromic.diversity.subsets import collapse_point, diversity_efficiency, pass_at_k

PAYS = 0.01
"""A further sample pays when it adds this much pass@k."""


def collapse_points(
    verdicts: Iterable[Mapping[str, Any]], models: Sequence[str], temperature: float, bound: float = PAYS
) -> list[dict[str, Any]]:
    """A row a model: the number of samples after which one more adds less than ``bound`` to pass@k.

    pass@k is exact for every k up to the number of samples that all prompts have; prompts with an unjudged sample are
    left out. ``collapse`` is None when every sample pays, or with a ``reason`` when nothing was judged.
    """
    counts: dict[str, dict[str, list[str]]] = {model: {} for model in models}
    for row in verdicts:
        if row.get("model") in counts and row.get("temperature") == temperature:
            counts[row["model"]].setdefault(str(row["prompt_id"]), []).append(str(row["status"]))
    return [_collapse(model, list(prompts.values()), bound) for model, prompts in counts.items()]


def _collapse(model: str, prompts: Sequence[Sequence[str]], bound: float) -> dict[str, Any]:
    judged = [prompt for prompt in prompts if Status.ABSENT.value not in prompt]
    row: dict[str, Any] = {"model": model, "collapse": None, "samples": 0, "bound": bound, "reason": ""}
    if not judged:
        return row | {"reason": "no prompt was judged whole"}
    n = np.array([len(prompt) for prompt in judged])
    right = np.array([prompt.count(Status.PASSED.value) for prompt in judged])
    curve = [float(np.mean(pass_at_k(n, right, k))) for k in range(1, int(n.min()) + 1)]
    return row | {"collapse": collapse_point(curve, bound), "samples": len(curve)}


def efficiencies(
    rows: Iterable[Mapping[str, Any]], diversity: MetricFacts | None, quality: MetricFacts | None
) -> list[dict[str, Any]]:
    """A row for each model compared with the baseline: diversity gained for each unit of quality given up.

    ``rows`` are comparisons of one temperature with one ``a``. Infinite, so None in the file, when the gain was free;
    a ``reason`` says why there is no number.
    """
    rows = list(rows)
    found = []
    for model in dict.fromkeys(row["b"] for row in rows):
        gain, change = (
            next((row["difference"] for row in rows if row["b"] == model and row["metric"] == each.signature), math.nan)
            if each
            else math.nan
            for each in (diversity, quality)
        )
        gain = gain * (diversity.direction or 1) if diversity else math.nan
        found.append({"model": model, "gain": gain, "loss": -change, **_efficiency(gain, -change)})
    return found


def _efficiency(gain: float, loss: float) -> dict[str, Any]:
    if math.isnan(gain) or math.isnan(loss):
        return {"efficiency": math.nan, "reason": "diversity or quality was not measured"}
    if gain <= 0:
        return {"efficiency": math.nan, "reason": "no diversity was gained"}
    value = diversity_efficiency(gain, loss)
    return {"efficiency": value, "reason": "" if math.isfinite(value) else "no quality was given up"}
