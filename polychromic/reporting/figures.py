"""Which figures a comparison can show, and their data."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from polychromic.analysis.headlines import pass_at_ks
from polychromic.analysis.nouns import Difference, ScoreRow
from polychromic.analysis.record import Comparison
from polychromic.core.facts import Role
from polychromic.reporting import plots, tables
from polychromic.reporting import runs as training
from polychromic.reporting.drawing import Figure


def draw(
    comparison: Comparison, colours: Mapping[str, str], runs: Mapping[str, Path], lambdas: Mapping[str, float]
) -> list[Figure]:
    """Every figure that the data allow, in reading order."""
    candidates = [
        _differences(comparison, colours),
        _pass_curves(comparison, colours),
        _frontier(comparison, colours),
        _against_length(comparison, colours),
        _dose(comparison, colours, lambdas, training.lines(runs)),
        _training(runs, colours),
    ]
    return [figure for figure in candidates if figure is not None]


def _pass_curves(comparison: Comparison, colours: Mapping[str, str]) -> Figure | None:
    ks = {each.signature: each.k for each in pass_at_ks(comparison.metrics.values())}
    curves: dict[str, plots.Curve] = {}
    for model in comparison.models:
        points = sorted(
            (ks[row.signature], row.score, *row.interval)
            for row in _at_reference(comparison)
            if row.model == model and row.signature in ks
        )
        if len(points) > 1:
            k, value, low, high = zip(*points, strict=True)
            curves[model] = (k, value, low, high)
    return plots.pass_curves(curves, colours, comparison.temperature) if curves else None


def _whole(comparison: Comparison) -> list[ScoreRow]:
    """The scores that have a number and an interval."""
    return [row for row in comparison.scores if math.isfinite(row.score + sum(row.interval))]


def _at_reference(comparison: Comparison) -> list[ScoreRow]:
    return [row for row in _whole(comparison) if row.temperature == comparison.temperature]


def _frontier(comparison: Comparison, colours: Mapping[str, str]) -> Figure | None:
    found = comparison.frontier
    if not found.models:
        return None
    points = {name: curve.points for name, curve in found.models.items()}
    return plots.frontier(
        points, colours, [comparison.metrics[each].title for each in (found.quality, found.diversity)]
    )


def _against_length(comparison: Comparison, colours: Mapping[str, str]) -> Figure | None:
    """Lexical diversity against length if both are there: where the two move together, length may be the cause."""
    lengths = [each for each in comparison.metrics.values() if each.kind == "length"]
    lexical = [each for each in tables.headline_metrics(comparison) if each.kind in ("distinct", "self_bleu")]
    if not lengths or not lexical:
        return None
    wanted = (min(lengths, key=lambda each: "tokens" not in each.signature), lexical[0])
    rows = {(row.model, row.temperature, row.signature): row for row in _whole(comparison)}
    models: dict[str, list[tuple[float, ...]]] = {}
    for model, temperature in dict.fromkeys(key[:2] for key in rows):
        x, y = (rows.get((model, temperature, each.signature)) for each in wanted)
        if x and y:
            models.setdefault(model, []).append((temperature, x.score, y.score, *x.interval, *y.interval))
    return plots.against_length(models, colours, [each.title for each in wanted]) if models else None


def _dose(
    comparison: Comparison, colours: Mapping[str, str], lambdas: Mapping[str, float], lines: Mapping[str, Sequence[str]]
) -> Figure | None:
    """Scores against lambda; ``lines`` are the models that differ in nothing else, by what tells one from another."""
    rows = {(row.model, row.signature): row for row in _at_reference(comparison)}
    ordered = sorted((weight, model) for model, weight in lambdas.items() if model in comparison.models)
    panels = []
    for signature in filter(None, (comparison.frontier.diversity, comparison.frontier.quality)):
        known = [(weight, model, rows[model, signature]) for weight, model in ordered if (model, signature) in rows]
        if len({weight for weight, _, _ in known}) > 1:
            panels.append((comparison.metrics[signature].title, _spread(known), _means(known, lines)))
    return plots.dose_response(panels, colours) if panels else None


def _spread(known: Sequence[tuple[float, str, ScoreRow]]) -> list[tuple[Any, ...]]:
    """The points of a panel, those of one dose beside each other."""
    alike: dict[float, list[str]] = {}
    for weight, model, _ in known:
        alike.setdefault(weight, []).append(model)
    widest = max(map(len, alike.values()))
    step = 0.0 if widest == 1 else 0.5 / (widest - 1)
    return [
        (weight, (alike[weight].index(model) - (len(alike[weight]) - 1) / 2) * step, model, row.score, *row.interval)
        for weight, model, row in known
    ]


def _means(
    known: Sequence[tuple[float, str, ScoreRow]], lines: Mapping[str, Sequence[str]]
) -> dict[str, list[tuple[float, float]]]:
    """The mean score of each dose along each line that has at least two doses."""
    found = {}
    for label, models in (lines or {"": [model for _, model, _ in known]}).items():
        scores: dict[float, list[float]] = {}
        for weight, model, row in known:
            if model in models:
                scores.setdefault(weight, []).append(row.score)
        if len(scores) > 1:
            found[label] = [(weight, math.fsum(each) / len(each)) for weight, each in scores.items()]
    return found


def _training(runs: Mapping[str, Path], colours: Mapping[str, str]) -> Figure | None:
    curves = {model: training.curves(path) for model, path in runs.items() if model in colours}
    panels = []
    for title in dict.fromkeys(title for found in curves.values() for title in found):
        lines = {model: found[title] for model, found in curves.items() if title in found}
        if lines:
            panels.append((title, lines))
    return plots.training(panels, colours) if panels else None


def _differences(comparison: Comparison, colours: Mapping[str, str]) -> Figure | None:
    rows = {(row.metric, row.b): row for row in comparison.from_baseline() if row.b != comparison.settings.base}
    bars = [
        _bar(facts.title, rows[facts.signature, model])
        for facts in tables.headline_metrics(comparison)
        for model in comparison.models
        if facts.role != Role.LENGTH and (facts.signature, model) in rows
    ]
    drawn = [bar for bar in bars if math.isfinite(bar.value + bar.low + bar.high)]
    return plots.differences(drawn, colours, comparison.baseline) if drawn else None


def _bar(name: str, row: Difference) -> plots.Bar:
    size = abs(row.score_a) or math.nan
    low, high = row.interval
    share = row.minimum_detectable_effect / size
    return plots.Bar(
        name, row.b, row.difference / size, low / size, high / size, share if math.isfinite(share) else None
    )
