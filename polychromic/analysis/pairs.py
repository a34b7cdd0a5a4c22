"""Paired differences of the models that are compared: intervals, p-values, Holm's families, what could be seen."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple, TypeVar

import numpy as np

from polychromic.analysis import significance
from polychromic.analysis.matrix import relative
from polychromic.analysis.nouns import Difference, Interval
from polychromic.analysis.record import ALL_PAIRS, CompareSettings
from polychromic.analysis.resampling import Array, Pairs, paired_bootstrap, permutation_p, scores
from polychromic.analysis.table import Cell, MeasurementTable
from polychromic.core.errors import InputError
from polychromic.core.facts import MetricFacts, Role

POWER = 0.8
BLOCK = 64  # scores or pairs resampled in one matrix product: bounds the draws in memory
Item = TypeVar("Item")
Found = TypeVar("Found")


def differences(table: MeasurementTable, settings: CompareSettings, decisive: Collection[str]) -> list[Difference]:
    """Every difference of the models to compare, corrected: the ``decisive`` signatures are a family of their own.

    Raises:
        InputError: two models to compare share no prompt.
    """
    found = in_blocks(_pairs(table, settings), lambda block: _compare_block(table, block, settings))
    return with_holm(found, settings, decisive)


def in_blocks(items: Sequence[Item], work: Callable[[Sequence[Item]], list[Found]]) -> list[Found]:
    """What ``work`` finds in the items, a bounded block of them at a time."""
    return [row for start in range(0, len(items), BLOCK) for row in work(items[start : start + BLOCK])]


@dataclass(frozen=True, slots=True)
class _Pair:
    """Two cells over the prompts both were computed on; statistics are zero elsewhere."""

    a: str
    b: str
    temperature: float
    signature: str
    columns: tuple[Array, Array, Array, Array]
    prompts: int
    asked: int
    discordant: int
    binary: tuple[Array, Array] | None
    reason: str


def _wanted(table: MeasurementTable, settings: CompareSettings) -> list[tuple[str, str]]:
    """The models to compare: all with the baseline, each with its own base, and every two where that is asked for."""
    bases = [model for model in table.models if model in settings.untrained and model != settings.baseline]
    ordered = [settings.baseline, *bases, *settings.variants(table.models)]
    if settings.pairs == ALL_PAIRS:
        return [(a, b) for place, a in enumerate(ordered) for b in ordered[place + 1 :]]
    own = [(base, model) for base in bases for model in ordered[1 + len(bases) :] if settings.base_of(model) == base]
    return [*((settings.baseline, model) for model in ordered[1:]), *own]


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
    asked = len(table.asked[key[0]] & table.asked[key[1]])
    differing = int((values[0] != values[1]).sum())
    return _Pair(*key, (kept[0], kept[1], kept[2], kept[3]), int(keep.sum()), asked, differing, binary, reason)


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
        freedom=pair.prompts - 1,
        p=_p_value(pair, numbers.permuted),
        smallest_p=0.0 if pair.binary else 1.0 / (1.0 + settings.plan.resamples),
        prompts=pair.prompts,
        asked=pair.asked,
        discordant=pair.discordant,
        test="McNemar, exact" if pair.binary else f"paired permutation, {settings.plan.resamples:,} resamples",
        reason=_reason(pair),
    )
    margin, equivalence = _tolerated(settings) * abs(numbers.a), None
    if facts.role == Role.QUALITY and margin > 0:
        equivalence = significance.equivalence(found.difference, numbers.error, pair.prompts, margin)
    return replace(found, relative=relative(found), equivalence=equivalence)


def _tolerated(settings: CompareSettings) -> float:
    """The smallest loss that a row of the matrix tolerates; 0 when none does."""
    rows = settings.thresholds.matrix
    return min((row.tolerated_loss for row in rows if row.tolerated_loss is not None), default=0.0)


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


def with_holm(rows: Sequence[Difference], settings: CompareSettings, decisive: Collection[str]) -> list[Difference]:
    """Corrects p over variants x metrics, and says what a true difference must be to be seen in such a family.

    A family is one temperature, one ``a``, and the ``decisive`` metrics or the others; where all pairs are compared
    they are one family, whatever their ``a``. A difference without a p-value does not count.
    """
    families: dict[tuple[float, str, bool], list[int]] = {}
    for place, row in enumerate(rows):
        one = "" if settings.pairs == ALL_PAIRS else row.a
        families.setdefault((row.temperature, one, row.metric in decisive), []).append(place)
    found = list(rows)
    for places in families.values():
        values = [rows[each].p for each in places]
        size = int(np.isfinite(values).sum())
        confidence = 1.0 - settings.thresholds.significance
        for place, corrected in zip(places, significance.holm(values), strict=True):
            row = rows[place]
            seen = significance.minimum_detectable_effect(row.standard_error, row.freedom, POWER, confidence, size)
            found[place] = replace(row, p_holm=float(corrected), family=size, minimum_detectable_effect=float(seen))
    return found
