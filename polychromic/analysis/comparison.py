"""The content of ``comparison.json``: scores, paired comparisons, frontier, verdicts and flags of one evaluation."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import numpy as np

from polychromic.analysis import ceiling, frontier, returns, significance, spread
from polychromic.analysis.headlines import names, pass_at_ks, primary_diversity, primary_quality
from polychromic.analysis.measurements import Cell, MeasurementTable, read_table
from polychromic.analysis.resampling import (
    Array,
    Pairs,
    Plan,
    bootstrap,
    intervals,
    jackknife,
    merge_clusters,
    paired_bootstrap,
    permutation_p,
    scores,
)
from polychromic.analysis.verdict import MODERATE, STRONG, WEAK, Thresholds, disagreement, judge, relative
from polychromic.core.errors import InputError
from polychromic.core.facts import MetricFacts, Role
from polychromic.core.nouns import Comparison
from polychromic.records.jsonl import to_jsonable

BLOCK = 64  # scores or pairs resampled in one matrix product: bounds the draws in memory
FRONTIER_RESAMPLES = 2_000


@dataclass(frozen=True, slots=True)
class CompareSettings:
    """What is compared with what, and how. ``clusters`` maps prompt ids to families that are resampled whole."""

    baseline: str
    base: str | None = None
    plan: Plan = field(default_factory=Plan)
    thresholds: Thresholds = field(default_factory=Thresholds)
    temperature: float | None = None
    clusters: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _Pair:
    """Two cells over the prompts both were computed on; statistics are zero elsewhere, and summed in clusters."""

    a: str
    b: str
    temperature: float
    signature: str
    columns: tuple[Array, Array, Array, Array]
    prompts: int
    discordant: int
    binary: tuple[Array, Array] | None
    reason: str


def compare(
    rows: Iterable[Mapping[str, Any]],
    facts: Mapping[str, MetricFacts],
    settings: CompareSettings,
    verdicts: Iterable[Mapping[str, Any]] = (),
    versions: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """Everything ``comparison.json`` holds, from rows of ``measurements.jsonl`` and ``verdicts.jsonl``.

    ``facts`` says what each signature means.
    Numbers that do not exist are None, with a reason beside them. Antisymmetric in baseline and variant.

    Raises:
        InputError: the baseline or base was not measured, a row is twice there, or a row lacks a field.
    """
    table, judged = read_table(rows, facts), list(verdicts)
    for name in (settings.baseline, settings.base):
        if name is not None and name not in table.models:
            raise InputError(f"model {name!r} was not measured; there are {', '.join(table.models)}")
    pairs = _pairs(table, settings)
    compared = _with_holm(_in_blocks(pairs, lambda block: _compare_block(table, block, settings)))
    reference = reference_temperature(table, settings)
    result = {
        "settings": {**asdict(settings), "temperature": reference, "prompts": len(table.prompts)},
        "models": list(table.models),
        "signatures": {each: _signature(table.facts[each], name) for each, name in names(table.facts.values()).items()},
        "scores": _scores(table, settings),
        "comparisons": compared,
        "frontier": _frontier(table, settings, reference),
        "verdicts": [_verdict(name, table, compared, settings) for name in _variants(table, settings)],
        "returns": _returns(table, compared, judged, settings, reference),
        "spread": spread.sample_split(judged, settings.baseline, _variants(table, settings), reference),
        "seeds": spread.over_seeds(table, settings.baseline, reference, settings.plan),
        "flags": ceiling.flags(table, compared, judged, settings.baseline),
        "versions": dict(versions or {}),
    }
    _mention_temperature(result)
    return dict(to_jsonable(result))


def reference_temperature(table: MeasurementTable, settings: CompareSettings) -> float:
    """The temperature verdicts speak about: the one asked for, else 1.0 if all models have it, else the middle one."""
    shared = [t for t in table.temperatures if all(t in table.swept(model) for model in table.models)]
    allowed = shared or table.swept(settings.baseline)
    if settings.temperature is not None:
        if settings.temperature not in allowed:
            known = ", ".join(f"{each:g}" for each in allowed)
            raise InputError(f"temperature {settings.temperature:g} was not measured for all models; there are {known}")
        return settings.temperature
    return 1.0 if 1.0 in allowed else allowed[len(allowed) // 2]


def _signature(facts: MetricFacts, name: str) -> dict[str, Any]:
    return {"name": name, **_told(facts), "kind": facts.kind, "k": facts.k}


def _told(facts: MetricFacts) -> dict[str, Any]:
    return {"role": facts.role, "direction": facts.direction, "headline": facts.headline}


def _variants(table: MeasurementTable, settings: CompareSettings) -> list[str]:
    return [model for model in table.models if model not in (settings.baseline, settings.base)]


def _in_blocks(items: Sequence[Any], work: Callable[[Any], list[dict[str, Any]]]) -> list[dict[str, Any]]:
    return [row for start in range(0, len(items), BLOCK) for row in work(items[start : start + BLOCK])]


def _clustered(table: MeasurementTable, settings: CompareSettings, values: Array) -> Array:
    if not settings.clusters:
        return values
    return merge_clusters(values, [settings.clusters.get(prompt, prompt) for prompt in table.prompts])


def _scores(table: MeasurementTable, settings: CompareSettings) -> list[dict[str, Any]]:
    def block(items: Sequence[tuple[tuple[str, float, str], Cell]]) -> list[dict[str, Any]]:
        numerator = _clustered(table, settings, np.stack([cell.numerator for _, cell in items], axis=1))
        denominator = _clustered(table, settings, np.stack([cell.denominator for _, cell in items], axis=1))
        estimates = scores(numerator, denominator)
        draws = bootstrap(numerator, denominator, settings.plan)
        spans = intervals(draws, estimates, jackknife(numerator, denominator), settings.plan)
        return [
            {
                "model": key[0],
                "temperature": key[1],
                "signature": key[2],
                "score": float(estimates[i]),
                "interval": spans[i].tolist(),
                "prompts": int(cell.valid.sum()),
                "reason": cell.reason,
            }
            for i, (key, cell) in enumerate(items)
        ]

    return _in_blocks(list(table.cells.items()), block)


def _pairs(table: MeasurementTable, settings: CompareSettings) -> list[_Pair]:
    wanted = [(settings.baseline, model) for model in table.models if model != settings.baseline]
    if settings.base is not None and settings.base != settings.baseline:
        wanted += [(settings.base, model) for model in table.models if model not in (settings.base, settings.baseline)]
    found = []
    for a, b in wanted:
        if not table.asked[a] & table.asked[b]:
            raise InputError(f"{a} and {b} share no prompt: they cannot be paired")
        for temperature in table.temperatures:
            for signature in table.signatures:
                first, second = (table.cell(model, temperature, signature) for model in (a, b))
                if first is not None and second is not None:
                    found.append(_pair(table, settings, (a, b, temperature, signature), (first, second)))
    return found


def _pair(
    table: MeasurementTable, settings: CompareSettings, key: tuple[str, str, float, str], cells: tuple[Cell, Cell]
) -> _Pair:
    keep = cells[0].valid & cells[1].valid
    kept = [each for cell in cells for each in cell.kept(keep)]
    columns = tuple(_clustered(table, settings, each[:, None])[:, 0] for each in kept)
    values = [cell.values[keep] for cell in cells]
    outcomes = all(np.isin(value, (0.0, 1.0)).all() for value in values)
    weights = all((cell.denominator[keep] == 1.0).all() for cell in cells)
    binary = (values[0], values[1]) if outcomes and weights and not settings.clusters and keep.any() else None
    lost = len(keep) - int(keep.sum())
    reason = "" if not lost else f"{lost} of {len(keep)} prompts left out: {cells[0].reason or cells[1].reason}"
    differing = int((values[0] != values[1]).sum())
    return _Pair(*key, (columns[0], columns[1], columns[2], columns[3]), int(keep.sum()), differing, binary, reason)


def _compare_block(table: MeasurementTable, block: Sequence[_Pair], settings: CompareSettings) -> list[dict[str, Any]]:
    stacked = Pairs(*(np.stack([pair.columns[part] for pair in block], axis=1) for part in range(4)))
    _, spans = paired_bootstrap(stacked, settings.plan)
    permuted = permutation_p(stacked, settings.plan)
    errors = significance.standard_errors(stacked)
    ends = (scores(stacked.numerator_a, stacked.denominator_a), scores(stacked.numerator_b, stacked.denominator_b))
    rows = []
    for i, pair in enumerate(block):
        units = min(pair.prompts, len(pair.columns[0]))
        effect = significance.minimum_detectable_effect(errors[i], units, confidence=settings.plan.confidence)
        comparison = Comparison(
            metric=pair.signature,
            a=pair.a,
            b=pair.b,
            score_a=float(ends[0][i]),
            score_b=float(ends[1][i]),
            difference=float(ends[1][i] - ends[0][i]),
            interval=(float(spans[i, 0]), float(spans[i, 1])),
            p=_p_value(pair, float(permuted[i])),
            minimum_detectable_effect=float(effect),
            prompts=pair.prompts,
            test="McNemar, exact" if pair.binary else f"paired permutation, {settings.plan.resamples:,} resamples",
            reason=_reason(pair),
        )
        rows.append(_row(table.facts[pair.signature], (comparison, pair), float(errors[i]), settings))
    return rows


def _p_value(pair: _Pair, permuted: float) -> float:
    """McNemar's exact p for outcomes, else the permutation's; NaN when there is but one prompt to permute."""
    if pair.binary:
        return significance.mcnemar_p(*pair.binary)
    return permuted if pair.prompts > 1 else float("nan")


def _reason(pair: _Pair) -> str:
    if pair.prompts and not pair.discordant:
        alike = "no prompt differs, so the detectable effect is unknown"
        return f"{pair.reason}; {alike}" if pair.reason else alike
    return pair.reason


def _row(
    facts: MetricFacts, compared: tuple[Comparison, _Pair], error: float, settings: CompareSettings
) -> dict[str, Any]:
    comparison, pair = compared
    row = asdict(comparison) | {
        "title": facts.title,
        **_told(facts),
        "temperature": pair.temperature,
        "discordant": pair.discordant,
        "standard_error": error,
        "smallest_p": 0.0 if pair.binary else 1.0 / (1.0 + settings.plan.resamples),
    }
    row["relative"] = relative(row)
    margin = settings.thresholds.tolerated_quality_loss * abs(comparison.score_a)
    if facts.role == Role.QUALITY and margin > 0:
        row["equivalence"] = asdict(significance.equivalence(comparison.difference, error, pair.prompts, margin))
    return row


def _with_holm(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Corrects p over variants x metrics; a family is one temperature, one ``a``, headline metrics or the others."""
    families: dict[tuple[float, str, bool], list[dict[str, Any]]] = {}
    for row in rows:
        family = (row["temperature"], row["a"], row["headline"] > 0)
        families.setdefault(family, []).append(row)
    for family_rows in families.values():
        for row, corrected in zip(family_rows, significance.holm([row["p"] for row in family_rows]), strict=True):
            row |= {"p_holm": float(corrected), "family": len(family_rows)}
    return rows


def _frontier(table: MeasurementTable, settings: CompareSettings, reference: float) -> dict[str, Any]:
    known = {key[2] for key, cell in table.cells.items() if key[0] == settings.baseline and cell.valid.any()}
    measured = [each for each in table.facts.values() if each.signature in known]
    quality, diversity = primary_quality(measured), primary_diversity(measured)
    if quality is None or diversity is None:
        return {"reason": "a frontier needs pass@k and a diversity metric", "models": {}, "matched": [], "swept": []}
    plan = Plan(min(FRONTIER_RESAMPLES, settings.plan.resamples), settings.plan.seed, settings.plan.confidence)
    curves = frontier.sweeps(table, quality, diversity, plan, lambda values: _clustered(table, settings, values))
    found = frontier.frontier(curves, plan, settings.baseline, diversity.direction)
    own = next((curve for curve in curves if curve.model == settings.baseline), None)
    swept = [
        frontier.temperature_buys(own, each, reference, plan)
        for each in curves
        if own and each.model in _variants(table, settings)
    ]
    return {"quality": quality.signature, "diversity": diversity.signature, **found, "swept": swept, "reason": ""}


def _returns(
    table: MeasurementTable,
    compared: Sequence[Mapping[str, Any]],
    judged: Sequence[Mapping[str, Any]],
    settings: CompareSettings,
    reference: float,
) -> dict[str, Any]:
    """Where samples stop paying, and what diversity cost in quality, at the reference temperature."""
    rows = [row for row in compared if (row["a"], row["temperature"]) == (settings.baseline, reference)]
    known = [table.facts[row["metric"]] for row in rows if np.isfinite(row["difference"])]
    return {
        "collapse": returns.collapse_points(judged, table.models, reference),
        "efficiency": returns.efficiencies(rows, primary_diversity(known), primary_quality(known)),
    }


def _verdict(
    name: str, table: MeasurementTable, rows: list[dict[str, Any]], settings: CompareSettings
) -> dict[str, Any]:
    reference = reference_temperature(table, settings)
    wanted = (settings.baseline, name, reference)
    own = {row["metric"]: row for row in rows if (row["a"], row["b"], row["temperature"]) == wanted}
    known = [table.facts[each] for each in [each for each, row in own.items() if np.isfinite(row["difference"])] or own]
    diversity, quality = primary_diversity(known), primary_quality(known)
    reach = min((each for each in pass_at_ks(known) if each.k > 1), key=lambda each: abs(each.k - 10), default=None)
    rows_of = [own[each.signature] if each else None for each in (diversity, reach, quality)]
    found = judge(rows_of[0], rows_of[1], rows_of[2], settings.thresholds)
    if found.level in (STRONG, MODERATE, WEAK):
        told = (*found.reasoning, *disagreement(list(own.values()), settings.thresholds))
        found = replace(found, reasoning=told)
    return {
        "model": name,
        "baseline": settings.baseline,
        "temperature": reference,
        **asdict(found),
        "metrics": [each.signature for each in (diversity, reach, quality) if each],
    }


def _mention_temperature(result: dict[str, Any]) -> None:
    said = {row["b"]: row["sentence"] for row in result["frontier"]["swept"]}
    for verdict in result["verdicts"]:
        if verdict["model"] in said:
            verdict["reasoning"] = [*verdict["reasoning"], said[verdict["model"]]]
