"""The content of ``comparison.json``: scores, paired comparisons, frontier, verdicts and flags of one evaluation."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple, TypeVar

import numpy as np

from polychromic.analysis import diminishing_returns, flags, frontier, significance, variance_components
from polychromic.analysis.headlines import names, pass_at_ks, primary_diversity, primary_quality
from polychromic.analysis.nouns import (
    MODERATE,
    STRONG,
    WEAK,
    Difference,
    Frontier,
    Interval,
    Returns,
    ScoreRow,
    VariantVerdict,
)
from polychromic.analysis.record import ALL_PAIRS, CompareSettings, Comparison
from polychromic.analysis.resampling import (
    Array,
    Pairs,
    Plan,
    bootstrap,
    intervals,
    jackknife,
    paired_bootstrap,
    permutation_p,
    scores,
)
from polychromic.analysis.table import Cell, CellKey, MeasurementTable, read_table
from polychromic.analysis.verdict import disagreement, judge, relative
from polychromic.core.errors import InputError
from polychromic.core.facts import MetricFacts, Role
from polychromic.core.nouns import Verdict
from polychromic.records.measurements import MeasurementRow
from polychromic.records.verdicts import VerdictKey

BLOCK = 64  # scores or pairs resampled in one matrix product: bounds the draws in memory
FRONTIER_RESAMPLES = 2_000
Item = TypeVar("Item")
Found = TypeVar("Found")


@dataclass(frozen=True, slots=True)
class _Pair:
    """Two cells over the prompts both were computed on; statistics are zero elsewhere."""

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
    rows: Iterable[MeasurementRow],
    facts: Mapping[str, MetricFacts],
    settings: CompareSettings,
    verdicts: Mapping[VerdictKey, Verdict] | None = None,
    versions: Mapping[str, str] | None = None,
) -> Comparison:
    """Everything ``comparison.json`` holds, from rows of ``measurements.jsonl`` and the verdicts.

    ``facts`` says what each signature means.
    Numbers that do not exist are NaN, with a reason beside them. Antisymmetric in baseline and variant.

    Raises:
        InputError: the baseline or base was not measured, or a row is twice there.
    """
    table, judged = read_table(rows, facts), verdicts or {}
    for name in (settings.baseline, settings.base):
        if name is not None and name not in table.models:
            raise InputError(f"model {name!r} was not measured; there are {', '.join(table.models)}")
    pairs = _pairs(table, settings)
    blocks = _in_blocks(pairs, lambda block: _compare_block(table, block, settings))
    compared = _with_holm(blocks, settings.pairs)
    reference = reference_temperature(table, settings)
    variants = _variants(table, settings)
    found = _frontier(table, settings, reference)
    bought = {each.b: each.sentence for each in found.swept}
    return Comparison(
        settings=replace(settings, temperature=reference),
        temperature=reference,
        prompts=len(table.prompts),
        models=table.models,
        metrics={each: replace(table.facts[each], title=name) for each, name in names(table.facts.values()).items()},
        scores=tuple(_scores(table, settings)),
        differences=tuple(compared),
        frontier=found,
        verdicts=tuple(_verdict(name, table, compared, settings, bought.get(name, "")) for name in variants),
        returns=_returns(table, compared, judged, settings, reference),
        spread=tuple(variance_components.sample_split(judged, settings.baseline, variants, reference)),
        seeds=tuple(variance_components.over_seeds(table, settings.baseline, reference, settings.plan)),
        flags=tuple(flags.flags(table, compared, judged, settings.baseline)),
        versions=dict(versions or {}),
    )


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


def _variants(table: MeasurementTable, settings: CompareSettings) -> list[str]:
    return [model for model in table.models if model not in (settings.baseline, settings.base)]


def _in_blocks(items: Sequence[Item], work: Callable[[Sequence[Item]], list[Found]]) -> list[Found]:
    return [row for start in range(0, len(items), BLOCK) for row in work(items[start : start + BLOCK])]


def _scores(table: MeasurementTable, settings: CompareSettings) -> list[ScoreRow]:
    def block(items: Sequence[tuple[CellKey, Cell]]) -> list[ScoreRow]:
        numerator = np.stack([cell.numerator for _, cell in items], axis=1)
        denominator = np.stack([cell.denominator for _, cell in items], axis=1)
        estimates = scores(numerator, denominator)
        draws = bootstrap(numerator, denominator, settings.plan)
        spans = intervals(draws, estimates, jackknife(numerator, denominator), settings.plan)
        return [
            ScoreRow(*key, float(estimates[i]), tuple(spans[i].tolist()), int(cell.valid.sum()), cell.reason)
            for i, (key, cell) in enumerate(items)
        ]

    return _in_blocks(list(table.cells.items()), block)


def _wanted(table: MeasurementTable, settings: CompareSettings) -> list[tuple[str, str]]:
    """The models to compare: all with the baseline and the base, and every two others where all pairs are asked for."""
    leading = [settings.baseline] + [settings.base] * (settings.base not in (None, settings.baseline))
    ordered = [name for name in leading if name] + [model for model in table.models if model not in leading]
    count = len(ordered) if settings.pairs == ALL_PAIRS else len(leading)
    return [(a, b) for place, a in enumerate(ordered[:count]) for b in ordered[place + 1 :]]


def _pairs(table: MeasurementTable, settings: CompareSettings) -> list[_Pair]:
    found = []
    for a, b in _wanted(table, settings):
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
    values = [cell.values[keep] for cell in cells]
    outcomes = all(np.isin(value, (0.0, 1.0)).all() for value in values)
    weights = all((cell.denominator[keep] == 1.0).all() for cell in cells)
    binary = (values[0], values[1]) if outcomes and weights and keep.any() else None
    lost = len(keep) - int(keep.sum())
    reason = "" if not lost else f"{lost} of {len(keep)} prompts left out: {cells[0].reason or cells[1].reason}"
    differing = int((values[0] != values[1]).sum())
    return _Pair(*key, (kept[0], kept[1], kept[2], kept[3]), int(keep.sum()), differing, binary, reason)


def _compare_block(table: MeasurementTable, block: Sequence[_Pair], settings: CompareSettings) -> list[Difference]:
    stacked = Pairs(*(np.stack([pair.columns[part] for pair in block], axis=1) for part in range(4)))
    _, spans = paired_bootstrap(stacked, settings.plan)
    permuted = permutation_p(stacked, settings.plan)
    errors = significance.standard_errors(stacked)
    a, b = (scores(stacked.numerator_a, stacked.denominator_a), scores(stacked.numerator_b, stacked.denominator_b))
    return [
        _difference(
            table.facts[pair.signature],
            pair,
            _Numbers(float(a[i]), float(b[i]), tuple(spans[i].tolist()), float(permuted[i]), float(errors[i])),
            settings,
        )
        for i, pair in enumerate(block)
    ]


class _Numbers(NamedTuple):
    """What resampling says about a pair: both scores, the difference's interval, its permutation p and its error."""

    a: float
    b: float
    interval: Interval
    permuted: float
    error: float


def _difference(facts: MetricFacts, pair: _Pair, numbers: _Numbers, settings: CompareSettings) -> Difference:
    effect = significance.minimum_detectable_effect(numbers.error, pair.prompts, confidence=settings.plan.confidence)
    found = Difference(
        metric=pair.signature,
        title=facts.title,
        role=facts.role,
        direction=facts.direction,
        headline=facts.headline,
        a=pair.a,
        b=pair.b,
        temperature=pair.temperature,
        score_a=numbers.a,
        score_b=numbers.b,
        difference=numbers.b - numbers.a,
        interval=numbers.interval,
        standard_error=numbers.error,
        p=_p_value(pair, numbers.permuted),
        smallest_p=0.0 if pair.binary else 1.0 / (1.0 + settings.plan.resamples),
        minimum_detectable_effect=float(effect),
        prompts=pair.prompts,
        discordant=pair.discordant,
        test="McNemar, exact" if pair.binary else f"paired permutation, {settings.plan.resamples:,} resamples",
        reason=_reason(pair),
    )
    margin, equivalence = settings.thresholds.tolerated_quality_loss * abs(numbers.a), None
    if facts.role == Role.QUALITY and margin > 0:
        equivalence = significance.equivalence(found.difference, numbers.error, pair.prompts, margin)
    return replace(found, relative=relative(found), equivalence=equivalence)


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


def _with_holm(rows: Sequence[Difference], pairs: str) -> list[Difference]:
    """Corrects p over variants x metrics; a family is one temperature, one ``a``, headline metrics or the others.

    Where all pairs are compared they are one family, whatever their ``a``.
    """
    families: dict[tuple[float, str, bool], list[int]] = {}
    for place, row in enumerate(rows):
        families.setdefault((row.temperature, "" if pairs == ALL_PAIRS else row.a, row.headline > 0), []).append(place)
    found = list(rows)
    for places in families.values():
        for place, corrected in zip(places, significance.holm([rows[each].p for each in places]), strict=True):
            found[place] = replace(rows[place], p_holm=float(corrected), family=len(places))
    return found


def _frontier(table: MeasurementTable, settings: CompareSettings, reference: float) -> Frontier:
    known = {key[2] for key, cell in table.cells.items() if key[0] == settings.baseline and cell.valid.any()}
    measured = [each for each in table.facts.values() if each.signature in known]
    quality, diversity = primary_quality(measured), primary_diversity(measured)
    if quality is None or diversity is None:
        return Frontier(reason="a frontier needs pass@k and a diversity metric")
    plan = Plan(min(FRONTIER_RESAMPLES, settings.plan.resamples), settings.plan.seed, settings.plan.confidence)
    curves = frontier.sweeps(table, quality, diversity, plan)
    own = next((curve for curve in curves if curve.model == settings.baseline), None)
    swept = tuple(
        frontier.temperature_buys(own, each, reference, plan)
        for each in curves
        if own and each.model in _variants(table, settings)
    )
    return replace(frontier.frontier(curves, plan, settings.baseline, (quality, diversity)), swept=swept)


def _returns(
    table: MeasurementTable,
    compared: Sequence[Difference],
    judged: Mapping[VerdictKey, Verdict],
    settings: CompareSettings,
    reference: float,
) -> Returns:
    """Where samples stop paying, and what diversity cost in quality, at the reference temperature."""
    rows = [row for row in compared if (row.a, row.temperature) == (settings.baseline, reference)]
    known = [table.facts[row.metric] for row in rows if np.isfinite(row.difference)]
    return Returns(
        tuple(diminishing_returns.collapse_points(judged, table.models, reference)),
        tuple(diminishing_returns.efficiencies(rows, primary_diversity(known), primary_quality(known))),
    )


def _verdict(
    name: str, table: MeasurementTable, rows: Sequence[Difference], settings: CompareSettings, bought: str
) -> VariantVerdict:
    """The verdict on a variant; ``bought`` says whether a temperature change buys its gain."""
    reference = reference_temperature(table, settings)
    wanted = (settings.baseline, name, reference)
    own = {row.metric: row for row in rows if (row.a, row.b, row.temperature) == wanted}
    known = [table.facts[each] for each in [each for each, row in own.items() if np.isfinite(row.difference)] or own]
    diversity, quality = primary_diversity(known), primary_quality(known)
    reach = min((each for each in pass_at_ks(known) if each.k > 1), key=lambda each: abs(each.k - 10), default=None)
    rows_of = [own[each.signature] if each else None for each in (diversity, reach, quality)]
    found = judge(rows_of[0], rows_of[1], rows_of[2], settings.thresholds)
    told = [*found.reasoning]
    if found.level in (STRONG, MODERATE, WEAK):
        told += disagreement(list(own.values()), settings.thresholds)
    told += [bought] if bought else []
    metrics = tuple(each.signature for each in (diversity, reach, quality) if each)
    return VariantVerdict(name, settings.baseline, reference, found.level, found.sentence, tuple(told), metrics)
