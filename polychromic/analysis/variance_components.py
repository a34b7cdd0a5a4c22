"""Where the uncertainty of a comparison comes from: prompts, or samples a prompt."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict

import numpy as np

from polychromic.analysis.nouns import SampleSplit
from polychromic.analysis.resampling import Array
from polychromic.analysis.significance import variance_split
from polychromic.core.nouns import Status, Verdict
from polychromic.records.verdicts import VerdictKey

Outcomes = Mapping[tuple[str, str], Mapping[int, float]]


def sample_split(
    verdicts: Mapping[VerdictKey, Verdict], baseline: str, models: Sequence[str], temperature: float
) -> list[SampleSplit]:
    """How much of the uncertainty of each model's pass@1 difference more samples, or more prompts, would remove.

    One row a model that has verdicts on at least two samples of at least two prompts that the baseline has too.
    """
    outcomes: dict[tuple[str, str], dict[int, float]] = {}
    for (model, prompt, drawn_at, index), verdict in verdicts.items():
        if verdict.status is not Status.ABSENT and drawn_at == temperature:
            outcomes.setdefault((model, prompt), {})[index] = float(verdict.passed)
    rows = []
    for model in models:
        grid = _paired(outcomes, baseline, model)
        if len(grid) >= 2 and grid.shape[1] >= 2:
            split = variance_split(grid)
            facts = {**asdict(split), "within_share": split.within_share, "advice": split.advice}
            rows.append(SampleSplit(a=baseline, b=model, temperature=temperature, **facts))
    return rows


def _paired(outcomes: Outcomes, baseline: str, model: str) -> Array:
    prompts = [prompt for name, prompt in outcomes if name == model and (baseline, prompt) in outcomes]
    shared = [
        [outcomes[model, prompt][i] - outcomes[baseline, prompt][i] for i in sorted(indices)]
        for prompt in prompts
        if (indices := outcomes[model, prompt].keys() & outcomes[baseline, prompt].keys())
    ]
    fewest = min(map(len, shared), default=0)
    return np.array([row[:fewest] for row in shared], dtype=float).reshape(len(shared), fewest)
