"""The content of ``comparison.json``: scores, paired comparisons, frontier, verdicts and flags of one evaluation."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from polychromic.analysis import diminishing_returns, flags, frontier, seeds, variance_components
from polychromic.analysis.against_base import BASE, against_base
from polychromic.analysis.headlines import names, primary_diversity, primary_quality
from polychromic.analysis.matrix import Entry, entries, with_differences
from polychromic.analysis.next_step import Circumstances, following
from polychromic.analysis.nouns import (
    MODERATE,
    STRONG,
    WEAK,
    AgainstBase,
    Difference,
    Frontier,
    Returns,
    ScoreRow,
    TemperatureAnswer,
    VariantVerdict,
)
from polychromic.analysis.pairs import differences, in_blocks
from polychromic.analysis.record import CompareSettings, Comparison
from polychromic.analysis.resampling import Plan, bootstrap, intervals, jackknife, scores
from polychromic.analysis.table import Cell, CellKey, MeasurementTable, read_table
from polychromic.analysis.verdict import disagreement, judge
from polychromic.core.errors import InputError
from polychromic.core.facts import MetricFacts
from polychromic.core.nouns import Verdict
from polychromic.records.measurements import MeasurementRow
from polychromic.records.verdicts import VerdictKey

FRONTIER_RESAMPLES = 2_000


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
    for name in (settings.baseline, *settings.untrained):
        if name not in table.models:
            raise InputError(f"model {name!r} was not measured; there are {', '.join(table.models)}")
    matrix = entries(settings.thresholds.matrix, _computed(table))
    decisive = {each.facts.signature for each in matrix if each.facts}
    compared = differences(table, settings, decisive)
    reference = reference_temperature(table, settings)
    settings = replace(settings, temperature=reference)
    found = _frontier(table, settings, reference)
    warned = flags.flags(table, compared, judged, settings.baseline)
    over, beside = seeds.over_seeds(table, settings, matrix), seeds.over_base(table, settings, matrix)
    bases = _bases(matrix, compared, beside, settings, table.models)
    variants, method = settings.variants(table.models), seeds.family(settings.baseline)
    seeded = [row for row in (*over, *beside) if row.a == method]  # the baseline may itself be the untrained base
    judging = _Judging(table, settings, matrix, bases, found.swept, flags.room(table, settings.baseline, reference))
    return Comparison(
        settings=settings,
        temperature=reference,
        prompts=len(table.prompts),
        models=table.models,
        metrics={each: replace(table.facts[each], title=name) for each, name in names(table.facts.values()).items()},
        scores=tuple(_scores(table, settings)),
        differences=tuple(compared),
        frontier=found,
        verdicts=tuple(judging.of(name, compared) for name in seeds.others(table.models, settings)),
        returns=_returns(table, compared, judged, settings, reference),
        spread=tuple(variance_components.sample_split(judged, settings.baseline, variants, reference)),
        bases=tuple(bases),
        seeds=(*over, *beside),
        methods=tuple(judging.of(name, seeded) for name in dict.fromkeys(row.b for row in seeded)),
        flags=(*warned, *seeds.warnings(seeded)),
        versions=dict(versions or {}),
    )


def _computed(table: MeasurementTable) -> list[MetricFacts]:
    """The metrics of which there is a number."""
    known = {key[2] for key, cell in table.cells.items() if cell.valid.any()}
    return [each for each in table.facts.values() if each.signature in known]


def _bases(
    matrix: Sequence[Entry],
    rows: Sequence[Difference],
    methods: Sequence[Difference],
    settings: CompareSettings,
    models: Sequence[str],
) -> list[AgainstBase]:
    """Every trained model and method beside its base, at the temperature that verdicts speak about."""
    there, limit = [row for row in rows if row.temperature == settings.temperature], settings.thresholds.significance
    trained = [model for model in models if model not in settings.untrained]
    found = [
        against_base(matrix, there, base, model, limit)
        for model in trained
        if (base := settings.base_of(model)) is not None
    ]
    found += [against_base(matrix, methods, base, name, limit) for base, name in {(row.a, row.b): 0 for row in methods}]
    return [each for each in found if each is not None]


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

    return in_blocks(list(table.cells.items()), block)


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
        if own and each.model in settings.variants(table.models)
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


@dataclass(frozen=True, slots=True)
class _Judging:
    """What all verdicts of a comparison share."""

    table: MeasurementTable
    settings: CompareSettings
    matrix: Sequence[Entry]
    bases: Sequence[AgainstBase]
    swept: Sequence[TemperatureAnswer]
    room: str

    def of(self, name: str, rows: Sequence[Difference]) -> VariantVerdict:
        """The verdict on a variant, or on a method where ``rows`` are those over seeds."""
        reference, limit = self.settings.temperature or 0.0, self.settings.thresholds.significance
        own = [row for row in rows if row.b == name and row.temperature == reference]
        baseline = seeds.family(self.settings.baseline) if own and own[0].seeds else self.settings.baseline
        own = [row for row in own if row.a == baseline]
        found = judge(with_differences(self.matrix, own), limit)
        told = [*found.reasoning]
        bought = next((each for each in self.swept if each.b == name), None)
        if found.level in (STRONG, MODERATE, WEAK):
            told += disagreement(own, limit)
        told += [bought.sentence] if bought else []
        where = Circumstances(
            name,
            baseline,
            prompts=max((row.prompts for row in own), default=0),
            beaten=any(each.better == BASE for each in self.bases if each.model == name),
            bought=bought.answer if bought else "",
            room=self.room,
            seeds=min((count for row in own if row.seeds for count in row.seeds if count > 1), default=1),
        )
        said = (found.level, found.sentence, tuple(told), found.metrics, found.lines, following(found, where))
        return VariantVerdict(name, baseline, reference, *said)
