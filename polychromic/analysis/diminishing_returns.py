"""What diversity costs in quality, and after how many samples one more stops paying."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np

from polychromic.analysis.nouns import Collapse, Difference, Efficiency
from polychromic.core.facts import MetricFacts
from polychromic.core.nouns import Status, Verdict
from polychromic.diversity.subsets import collapse_point, diversity_efficiency, pass_at_k
from polychromic.records.verdicts import VerdictKey

PAYS = 0.01
"""A further sample pays when it adds this much pass@k."""


def collapse_points(
    verdicts: Mapping[VerdictKey, Verdict], models: Sequence[str], temperature: float, bound: float = PAYS
) -> list[Collapse]:
    """A row a model: the number of samples after which one more adds less than ``bound`` to pass@k.

    pass@k is exact for every k up to the number of samples that all prompts have; prompts with an unjudged sample are
    left out. ``collapse`` is None when every sample pays, or with a ``reason`` when nothing was judged.
    """
    counts: dict[str, dict[str, list[Status]]] = {model: {} for model in models}
    for (model, prompt, drawn_at, _), verdict in verdicts.items():
        if model in counts and drawn_at == temperature:
            counts[model].setdefault(prompt, []).append(verdict.status)
    return [_collapse(model, list(prompts.values()), bound) for model, prompts in counts.items()]


def _collapse(model: str, prompts: Sequence[Sequence[Status]], bound: float) -> Collapse:
    judged = [prompt for prompt in prompts if Status.ABSENT not in prompt]
    if not judged:
        return Collapse(model, None, 0, bound, "no prompt was judged whole")
    n = np.array([len(prompt) for prompt in judged])
    right = np.array([prompt.count(Status.PASSED) for prompt in judged])
    curve = [float(np.mean(pass_at_k(n, right, k))) for k in range(1, int(n.min()) + 1)]
    return Collapse(model, collapse_point(curve, bound), len(curve), bound)


def efficiencies(
    rows: Sequence[Difference], diversity: MetricFacts | None, quality: MetricFacts | None
) -> list[Efficiency]:
    """A row for each model compared with the baseline: diversity gained for each unit of quality given up.

    ``rows`` are differences at one temperature from one ``a``. Infinite when the gain was free; a ``reason`` says why
    there is no number.
    """
    found = []
    for model in dict.fromkeys(row.b for row in rows):
        gain, change = (
            next((row.difference for row in rows if row.b == model and row.metric == each.signature), math.nan)
            if each
            else math.nan
            for each in (diversity, quality)
        )
        gain = gain * (diversity.direction or 1) if diversity else math.nan
        found.append(Efficiency(model, gain, -change, *_efficiency(gain, -change)))
    return found


def _efficiency(gain: float, loss: float) -> tuple[float, str]:
    if math.isnan(gain) or math.isnan(loss):
        return math.nan, "diversity or quality was not measured"
    if gain <= 0:
        return math.nan, "no diversity was gained"
    value = diversity_efficiency(gain, loss)
    return value, "" if math.isfinite(value) else "no quality was given up"
