"""Where the uncertainty of a comparison comes from: prompts, samples a prompt, or training seeds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict

import numpy as np

from polychromic.analysis.nouns import Interval, SampleSplit, SeedDifference
from polychromic.analysis.resampling import Array, Plan, hierarchical_bootstrap, intervals
from polychromic.analysis.significance import variance_split
from polychromic.analysis.table import MeasurementTable
from polychromic.core.nouns import Status, Verdict
from polychromic.records.verdicts import VerdictKey

SEED_MARK = "@"  # moderate@1, moderate@2: two training seeds of the variant "moderate"
Outcomes = Mapping[tuple[str, str], Mapping[int, float]]


def family(model: str) -> str:
    """The variant a model is a training seed of: its name before the last ``@``."""
    return model.rpartition(SEED_MARK)[0] or model


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


def over_seeds(table: MeasurementTable, baseline: str, temperature: float, plan: Plan) -> list[SeedDifference]:
    """Headline differences of variants that were trained with several seeds, resampled over seeds, then prompts.

    A row for each variant and headline metric of which both sides have at least two seeds; the verdict can then speak
    about the method and not only about one set of weights.
    """
    families: dict[str, list[str]] = {}
    for model in table.models:
        families.setdefault(family(model), []).append(model)
    own = families.get(family(baseline), [])
    rows = []
    for name, members in families.items():
        if name == family(baseline) or min(len(own), len(members)) < 2:
            continue
        for signature in (each.signature for each in table.facts.values() if each.headline):
            sides = [_stack(table, side, temperature, signature) for side in (own, members)]
            if sides[0] is not None and sides[1] is not None:
                found = _difference(sides[0], sides[1], plan)
                seeds = (len(own), len(members))
                rows.append(SeedDifference(signature, family(baseline), name, seeds, *found, temperature))
    return rows


def _stack(
    table: MeasurementTable, models: Sequence[str], temperature: float, signature: str
) -> tuple[Array, Array] | None:
    cells = [table.cell(model, temperature, signature) for model in models]
    found = [cell for cell in cells if cell is not None and cell.valid.all()]
    if len(found) < len(models):
        return None
    return np.stack([cell.numerator for cell in found]), np.stack([cell.denominator for cell in found])


def _difference(a: tuple[Array, Array], b: tuple[Array, Array], plan: Plan) -> tuple[float, Interval]:
    difference, draws = hierarchical_bootstrap(a, b, plan)
    percentile = Plan(plan.resamples, plan.seed, plan.confidence, "percentile")
    low, high = intervals(draws[:, None], np.array([difference]), None, percentile)[0]
    return difference, (float(low), float(high))
