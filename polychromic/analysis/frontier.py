"""Quality against diversity over a temperature sweep.

Hypervolume, diversity at matched quality, and whether a temperature change of the baseline buys what a variant gained.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from polychromic.analysis.nouns import (
    NO_INTERVAL,
    Frontier,
    FrontierCurve,
    FrontierPoint,
    Interval,
    Matched,
    TemperatureAnswer,
)
from polychromic.analysis.resampling import Array, Plan, bootstrap, intervals, scores
from polychromic.analysis.table import MeasurementTable
from polychromic.core.facts import MetricFacts

GRID = 33  # qualities at which two curves are compared
BUYS, DOES_NOT, MAY, UNKNOWN = "yes", "no", "perhaps", "unknown"


@dataclass(frozen=True, slots=True)
class Sweep:
    """One model's curve: estimates ``[t]`` and draws ``[r, t]`` of quality and of diversity (more is better)."""

    model: str
    temperatures: tuple[float, ...]
    quality: Array
    diversity: Array
    quality_draws: Array
    diversity_draws: Array


def sweeps(table: MeasurementTable, quality: MetricFacts, diversity: MetricFacts, plan: Plan) -> list[Sweep]:
    """Each model's curve; draws are paired over models because all share their resamples."""
    columns: list[tuple[Array, Array]] = []
    found: list[tuple[str, list[float]]] = []
    for model in table.models:
        usable = []
        for temperature in table.swept(model):
            cells = [table.cell(model, temperature, each.signature) for each in (quality, diversity)]
            if all(cell is not None and math.isfinite(cell.score) for cell in cells):
                usable.append(temperature)
                columns += [(cell.numerator, cell.denominator) for cell in cells if cell is not None]
        if usable:
            found.append((model, usable))
    if not columns:
        return []
    numerator, denominator = (np.stack([column[part] for column in columns], axis=1) for part in (0, 1))
    estimates, draws = scores(numerator, denominator), bootstrap(numerator, denominator, plan)
    sign = float(diversity.direction or 1)
    result, start = [], 0
    for model, usable in found:
        take = slice(start, start + 2 * len(usable))
        own, drawn = estimates[take], draws[:, take]
        result.append(Sweep(model, tuple(usable), own[::2], sign * own[1::2], drawn[:, ::2], sign * drawn[:, 1::2]))
        start = take.stop
    return result


def hypervolume(quality: Array, diversity: Array, reference: tuple[float, float]) -> Array:
    """Area dominated by the points ``[..., t]`` above ``reference``, ``[...]``: how much of both a model can have."""
    order = np.argsort(-quality, axis=-1)
    width = np.maximum(np.take_along_axis(quality, order, -1) - reference[0], 0.0)
    height = np.maximum.accumulate(np.maximum(np.take_along_axis(diversity, order, -1) - reference[1], 0.0), axis=-1)
    following = np.concatenate([width[..., 1:], np.zeros((*width.shape[:-1], 1))], axis=-1)
    return np.asarray(((width - following) * height).sum(axis=-1))


def at_quality(levels: Array, quality: Array, diversity: Array) -> Array:
    """The most diversity a curve has at these qualities or better, linear between its points.

    Above its best quality it is what it has there.
    """
    order = np.argsort(quality, kind="stable")
    rising, held = quality[order], diversity[order]
    better = np.append(np.maximum.accumulate(held[::-1])[::-1], held[-1])
    best = better[np.searchsorted(rising, levels, side="left")]
    return np.maximum(best, np.where(levels <= rising[-1], np.interp(levels, rising, held), -np.inf))


def matched(a: Sweep, b: Sweep, plan: Plan) -> Matched:
    """Mean diversity of b minus that of a over the qualities both reach, with its interval."""
    low = max(float(a.quality.min()), float(b.quality.min()))
    high = min(float(a.quality.max()), float(b.quality.max()))
    if not low < high:
        reason = "the curves share no quality: sweep more temperatures"
        return Matched(a.model, b.model, (low, high), math.nan, NO_INTERVAL, reason)
    levels = np.linspace(low, high, GRID)
    gap = _gap(levels, a.quality, a.diversity, b.quality, b.diversity)
    rows = zip(a.quality_draws, a.diversity_draws, b.quality_draws, b.diversity_draws, strict=True)
    draws = np.array([_gap(levels, *row) for row in rows])
    return Matched(a.model, b.model, (low, high), gap, _interval(draws, gap, plan))


def _gap(levels: Array, *curves: Array) -> float:
    quality_a, diversity_a, quality_b, diversity_b = curves
    return float((at_quality(levels, quality_b, diversity_b) - at_quality(levels, quality_a, diversity_a)).mean())


def _interval(draws: Array, estimate: float, plan: Plan) -> Interval:
    percentile = Plan(plan.resamples, plan.seed, plan.confidence, "percentile")
    found = intervals(draws[:, None], np.array([estimate]), None, percentile)[0]
    return float(found[0]), float(found[1])


def temperature_buys(a: Sweep, b: Sweep, temperature: float, plan: Plan) -> TemperatureAnswer:
    """Whether a, at another temperature, is as diverse as b is at ``temperature``, at b's quality; with a sentence."""

    def unknown(sentence: str) -> TemperatureAnswer:
        return TemperatureAnswer(a.model, b.model, temperature, UNKNOWN, sentence)

    if temperature not in a.temperatures or temperature not in b.temperatures:
        return unknown(f"{a.model} and {b.model} were not both measured at temperature {temperature:g}.")
    place, own = b.temperatures.index(temperature), a.temperatures.index(temperature)
    plain = float(b.diversity[place] - a.diversity[own])
    if plain <= 0:
        return unknown(f"{b.model} is not more diverse than {a.model} at temperature {temperature:g}.")
    if len(a.temperatures) < 2:
        return unknown(f"{a.model} was not swept over temperatures: a temperature change may buy this too.")
    level = float(b.quality[place])
    if level < float(a.quality.min()):
        hint = f"{a.model} was not swept hot enough to reach the quality of {b.model}"
        return unknown(f"{hint}: a temperature change may buy this too.")
    gain = float(b.diversity[place] - _best_rival(level, a.quality, a.diversity, own))
    rows = zip(a.quality_draws, a.diversity_draws, b.quality_draws, b.diversity_draws, strict=True)
    draws = np.array([db[place] - _best_rival(float(qb[place]), qa, da, own) for qa, da, qb, db in rows])
    interval = _interval(draws, gain, plan)
    answer, sentence = _answer((plain, gain, interval), a, level)
    return TemperatureAnswer(a.model, b.model, temperature, answer, sentence, gain, interval)


def _best_rival(level: float, quality: Array, diversity: Array, own: int) -> float:
    """The most diversity a sweep can set against a quality; out of its reach, what it has there or at ``own``.

    The latter understates a gain over a sweep that is worse at every temperature, rather than overstating it.
    """
    reached = float(at_quality(np.array([level]), quality, diversity)[0])
    return reached if level <= quality.max() else max(reached, float(diversity[own]))


def _answer(gained: tuple[float, float, Interval], a: Sweep, level: float) -> tuple[str, str]:
    """The answer and its sentence, from the gain at equal temperature and at equal quality with its interval."""
    plain, gain, (low, high) = gained
    left = f"the gain is {plain:+.3f} at equal temperature and {gain:+.3f} at equal quality"
    left += f" (interval {low:+.3f} to {high:+.3f})"
    if low > 0:
        beyond = level > float(a.quality.max())
        more = f"; {a.model} reaches this quality at no temperature" if beyond else ""
        return DOES_NOT, f"A temperature change does not buy this: {left}{more}."
    if gain <= 0.25 * plain:
        return BUYS, f"A temperature change buys this too: {left}."
    return MAY, f"A temperature change may buy this too: {left}."


def frontier(curves: Sequence[Sweep], plan: Plan, baseline: str, metrics: tuple[MetricFacts, MetricFacts]) -> Frontier:
    """Points and hypervolumes of quality and diversity, the two ``metrics``, and each model against the baseline."""
    quality, diversity = metrics
    reference = (0.0, 0.0 if diversity.direction >= 0 else -1.0)
    own = next((curve for curve in curves if curve.model == baseline), None)
    others = [curve for curve in curves if own is not None and curve.model != baseline]
    return Frontier(
        quality.signature,
        diversity.signature,
        reference,
        {curve.model: _curve(curve, reference, plan, diversity.direction) for curve in curves},
        tuple(matched(own, other, plan) for other in others if own is not None),
    )


def _curve(curve: Sweep, reference: tuple[float, float], plan: Plan, direction: int) -> FrontierCurve:
    sign = direction or 1
    percentile = Plan(plan.resamples, 0, plan.confidence, "percentile")
    diversity = sign * curve.diversity
    spans = [
        intervals(curve.quality_draws, curve.quality, None, percentile).tolist(),
        intervals(sign * curve.diversity_draws, diversity, None, percentile).tolist(),
    ]
    points = tuple(
        FrontierPoint(temperature, float(curve.quality[i]), tuple(spans[0][i]), float(diversity[i]), tuple(spans[1][i]))
        for i, temperature in enumerate(curve.temperatures)
    )
    volume = float(hypervolume(curve.quality, curve.diversity, reference))
    draws = hypervolume(curve.quality_draws, curve.diversity_draws, reference)
    return FrontierCurve(points, volume, _interval(draws, volume, plan))
