"""Methods trained with several seeds: differences that speak about the method and not about one set of weights.

A model called ``moderate@2`` is a training seed of the method ``moderate``.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy import stats

from polychromic.analysis.matrix import Entry, relative
from polychromic.analysis.nouns import NO_INTERVAL, Difference, Flag
from polychromic.analysis.pairs import with_holm
from polychromic.analysis.record import CompareSettings
from polychromic.analysis.resampling import Array, ratio
from polychromic.analysis.table import Cell, MeasurementTable
from polychromic.core.facts import MetricFacts

SEED_MARK = "@"
FEWEST = 3
"""Below so many seeds a difference between methods is hardly ever resolvable."""


def family(model: str) -> str:
    """The method a model is a training seed of: its name before the last ``@``."""
    return model.rpartition(SEED_MARK)[0] or model


def methods(models: Sequence[str]) -> dict[str, list[str]]:
    """The models of each method, in order of appearance."""
    found: dict[str, list[str]] = {}
    for model in models:
        found.setdefault(family(model), []).append(model)
    return found


def others(models: Sequence[str], settings: CompareSettings) -> list[str]:
    """The variants but for the baseline's own other seeds, which are no variants of it."""
    return [model for model in settings.variants(models) if family(model) != family(settings.baseline)]


def over_seeds(table: MeasurementTable, settings: CompareSettings, matrix: Sequence[Entry]) -> list[Difference]:
    """Differences between methods in the metrics of the matrix, at the temperature that verdicts speak about.

    A row for each method and metric of which both sides have at least two seeds. Its error has three parts: the seeds'
    spread on either side, and what the difference varies from prompt to prompt beyond noise; interval, p and detectable
    effect are t's with Satterthwaite's degrees of freedom. Holm corrects over methods x metrics.
    """
    own = [model for model in table.models if family(model) == family(settings.baseline)]
    known = methods(settings.variants(table.models))
    known.pop(family(settings.baseline), None)
    sides = {name: own for name in known if len(own) > 1}
    return _over(table, settings, matrix, {name: (sides[name], known[name]) for name in sides})


def over_base(table: MeasurementTable, settings: CompareSettings, matrix: Sequence[Entry]) -> list[Difference]:
    """As ``over_seeds``, between each method and the untrained base of its seeds, which is one model."""
    known = methods([model for model in table.models if model not in settings.untrained])
    bases = {name: {settings.base_of(model) for model in members} for name, members in known.items()}
    sides = {name: [base for base in found if base is not None] for name, found in bases.items() if len(found) == 1}
    return _over(table, settings, matrix, {name: (own, known[name]) for name, own in sides.items() if own})


def _over(
    table: MeasurementTable,
    settings: CompareSettings,
    matrix: Sequence[Entry],
    sides: Mapping[str, tuple[list[str], list[str]]],
) -> list[Difference]:
    """For each method, given the models of either side, a row for each metric that all of them have."""
    temperature = settings.temperature or 0.0
    metrics = list({each.facts.signature: each.facts for each in matrix if each.facts}.values())
    found = []
    for name, (own, members) in sides.items():
        if len(members) < 2:
            continue
        for facts in metrics:
            both = [[table.cell(model, temperature, facts.signature) for model in side] for side in (own, members)]
            whole = [[cell for cell in side if cell is not None] for side in both]
            if [len(side) for side in whole] == [len(own), len(members)]:
                found.append(_difference(facts, (family(own[0]), name, temperature), whole, settings))
    return with_holm(found, settings, {facts.signature for facts in metrics})


@dataclass(frozen=True, slots=True)
class _Error:
    """A standard error and its degrees of freedom."""

    size: float
    freedom: float

    @classmethod
    def of(cls, parts: Sequence[tuple[float, int]]) -> _Error:
        """The root of a sum of variances, each with its degrees of freedom (Satterthwaite 1946)."""
        total = sum(variance for variance, _ in parts)
        below = sum(variance**2 / freedom for variance, freedom in parts)
        return cls(math.sqrt(total), total**2 / below if below > 0 else math.nan)


def _difference(
    facts: MetricFacts, names: tuple[str, str, float], sides: Sequence[Sequence[Cell]], settings: CompareSettings
) -> Difference:
    keep = np.logical_and.reduce([cell.valid for side in sides for cell in side])
    a, b = (np.array([_influence(cell, keep) for cell in side]) for side in sides)
    left_out = f"{len(keep) - int(keep.sum())} of {len(keep)} prompts left out" if not keep.all() else ""
    scores = (float(a.mean()), float(b.mean())) if keep.any() else (math.nan, math.nan)
    moved, error = scores[1] - scores[0], _error(a, b)
    known = math.isfinite(error.freedom)
    half = error.size * float(stats.t.ppf(0.5 + settings.plan.confidence / 2, error.freedom)) if known else math.nan
    row = Difference(
        metric=facts.signature,
        title=facts.title,
        role=facts.role,
        direction=facts.direction,
        headline=facts.headline,
        a=names[0],
        b=names[1],
        temperature=names[2],
        score_a=scores[0],
        score_b=scores[1],
        difference=moved,
        interval=(moved - half, moved + half) if known else NO_INTERVAL,
        standard_error=error.size,
        freedom=error.freedom,
        p=float(2 * stats.t.sf(abs(moved) / error.size, error.freedom)) if known else math.nan,
        prompts=int(keep.sum()),
        asked=len(keep),
        test="t on the means of the training seeds",
        seeds=(len(a), len(b)),
        reason=left_out if known or not keep.any() else "the seeds do not differ, so their spread is unknown",
    )
    return replace(row, relative=relative(row))


def _influence(cell: Cell, keep: Array) -> Array:
    """A prompt's value, or for a ratio its linearised share, so that the mean over prompts is the score; ``[p]``."""
    top, bottom = cell.numerator[keep], cell.denominator[keep]
    score = float(ratio(top.sum(), bottom.sum()))
    return score + len(top) * ratio(top - score * bottom, bottom.sum())


def _error(a: Array, b: Array) -> _Error:
    """The error of the difference of two methods' means; values ``[seeds, p]``.

    Seeds: the variance of the seeds' means, which holds the noise of sampling too. Prompts: how much the difference
    varies between prompts, less what the seeds' residuals explain (two-way analysis of variance), over the prompts. A
    side of one model, the untrained base, has no seeds; what sampling it adds varies from prompt to prompt. There the
    degrees of freedom are those of the other side's seeds: Satterthwaite's rejected a null in 10 % with two of them.
    """
    prompts = a.shape[1]
    if prompts < 2:
        return _Error(math.nan, math.nan)
    seeded = [side for side in (a, b) if len(side) > 1]
    parts = [(float(side.mean(axis=1).var(ddof=1)) / len(side), len(side) - 1) for side in seeded]
    varied = float((b.mean(axis=0) - a.mean(axis=0)).var(ddof=1))
    interaction = max(0.0, varied - sum(_residual(side) / len(side) for side in seeded))
    whole = _Error.of([*parts, (interaction / prompts, prompts - 1)])
    return whole if len(parts) > 1 else replace(whole, freedom=min(whole.freedom, parts[0][1]))


def _residual(side: Array) -> float:
    """Mean square of what neither seed nor prompt explains."""
    left = side - side.mean(axis=0) - side.mean(axis=1, keepdims=True) + side.mean()
    return float((left**2).sum() / ((side.shape[0] - 1) * (side.shape[1] - 1)))


def warnings(rows: Sequence[Difference]) -> list[Flag]:
    """That a method has too few training seeds to speak about it."""
    few = {row.b: row.seeds for row in rows if row.seeds and any(1 < count < FEWEST for count in row.seeds)}
    return [
        Flag(
            "seeds",
            "warning",
            f"{name}: {ours} training seeds{f' against {theirs}' * (theirs > 1)}: below {FEWEST} a difference between "
            "methods is hardly ever resolvable.",
            name,
        )
        for name, (theirs, ours) in few.items()
    ]
