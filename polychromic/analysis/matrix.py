"""The decision matrix: which measured metric stands in each of its rows, and what a comparison says of it."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from polychromic.analysis.headlines import primary_diversity, primary_quality
from polychromic.analysis.nouns import (
    MODERATE,
    NO_GAIN,
    NO_INTERVAL,
    STRONG,
    UNRESOLVED,
    WEAK,
    WORSE,
    Difference,
    Interval,
    MatrixLine,
)
from polychromic.analysis.wording import described, evidence, share
from polychromic.core.errors import InputError
from polychromic.core.facts import MetricFacts, Role, read_signature, write_signature
from polychromic.settings.catalog import kind_class, split
from polychromic.settings.thresholds import DEFAULT_MATRIX, MatrixRow

MET, NOT_MET, NOT_MEASURED = "met", "not met", "not measured"
LEAST_SHARE = 0.5
"""A row of which fewer prompts than this share could be compared decides nothing."""
_GENERAL = DEFAULT_MATRIX[0]
"""Its bands are those of a metric that no row names."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A row of the matrix, the measured metric that stands in it, and its difference; None for what there is not."""

    row: MatrixRow
    facts: MetricFacts | None
    difference: Difference | None = None

    @property
    def gains(self) -> bool:
        """Whether the row asks for a gain and has a number."""
        return self.row.moderate is not None and self.measured is not None

    @property
    def measured(self) -> Difference | None:
        """The difference where there is a number."""
        found = self.difference
        return found if found is not None and math.isfinite(found.difference) else None


def entries(rows: Sequence[MatrixRow], facts: Iterable[MetricFacts]) -> list[Entry]:
    """The rows, each with the metric of ``facts`` that stands in it.

    Where no row has a diversity metric that was measured, the best-ranked one is added, and where none was measured at
    all, the quality metric is asked for a gain: a verdict speaks of what there is.
    """
    known = [each for each in facts if not each.whole]
    found = [Entry(row, _standing(row, known)) for row in rows]
    if any(each.row.moderate is not None and each.facts and each.facts.role == Role.DIVERSITY for each in found):
        return found
    diversity, quality = primary_diversity(known), primary_quality(known)
    if diversity is not None:
        return [Entry(_asking(MatrixRow, diversity), diversity), *found]
    if quality is None:
        return found
    same = next((each for each in found if each.facts == quality), None)
    if same is None:
        return [*found, Entry(_asking(MatrixRow, quality), quality)]
    bands = {"moderate": _GENERAL.moderate, "strong": _GENERAL.strong}
    asked = replace(same, row=same.row.model_copy(update=bands)) if same.row.moderate is None else same
    return [asked if each is same else each for each in found]


def _asking(kind: type[MatrixRow], facts: MetricFacts) -> MatrixRow:
    return kind(metric=facts.kind, moderate=_GENERAL.moderate, strong=_GENERAL.strong)


def _standing(row: MatrixRow, known: Sequence[MetricFacts]) -> MetricFacts | None:
    """The metric of a row's kind and options, at its k or the nearest; a k above 1 is never answered by one sample."""
    kind, options = split(row.metric)
    _, wanted = read_signature(write_signature(kind, **options))
    direction = {"more": 1, "less": -1}.get(row.direction or "")
    fitting = [
        replace(each, direction=direction or each.direction)
        for each in known
        if each.kind in (kind, kind.rpartition(":")[2])
        and all(each.options.get(name) == value for name, value in wanted.items())
        and (direction or each.direction)
        and (row.k is None or (each.k > 1) == (row.k > 1) or not each.k)
    ]
    if row.k is None:
        return max(fitting, key=lambda each: each.k, default=None)
    return min(fitting, key=lambda each: (abs(each.k - (row.k or 0)), -each.k), default=None)


def with_differences(found: Iterable[Entry], differences: Iterable[Difference]) -> list[Entry]:
    """The entries with the differences, of one pair of models at one temperature, of their metrics."""
    own = {row.metric: row for row in differences}
    return [
        replace(each, difference=replace(own[each.facts.signature], direction=each.facts.direction))
        if each.facts and each.facts.signature in own
        else each
        for each in found
    ]


def relative(row: Difference, amount: float | None = None) -> float:
    """The difference, or another amount, as a share of the score of ``a``; NaN when that score is 0.

    Positive when ``b`` is better.
    """
    moved = row.difference if amount is None else amount
    return (row.direction or 1) * moved / abs(row.score_a) if row.score_a else math.nan


def span_of_gain(row: Difference) -> Interval:
    """The interval as shares of the score of ``a``, the worst for ``b`` first; NaN without interval or score."""
    low, high = sorted(relative(row, end) for end in row.interval)
    return (low, high) if math.isfinite(low + high) else NO_INTERVAL


def clear(row: Difference, significance: float) -> int:
    """1 when b is clearly better, -1 when clearly worse, 0 when the data cannot say.

    Clear is an interval without 0 and a Holm-corrected p below ``significance``.
    """
    low, high = row.interval
    if math.isnan(low + high) or not row.p_holm < significance:
        return 0
    direction = row.direction or 1
    return direction if low > 0 else -direction if high < 0 else 0


def at_odds(row: Difference, significance: float) -> str:
    """Why an interval and Holm's p that say different things are no contradiction; empty when they agree."""
    low, high = row.interval
    if math.isnan(low + high + row.p_holm):
        return ""
    alone, corrected = low > 0 or high < 0, row.p_holm < significance
    if alone and not corrected:
        several = f"after Holm over {row.family} comparisons p = {row.p_holm:.2g}" if row.family > 1 else ""
        return f"the interval alone is clear of 0, but {several or f'p = {row.p_holm:.2g}'}: not taken for a difference"
    if corrected and not alone:
        return f"p = {row.p_holm:.2g}, but the interval reaches 0: not taken for a difference"
    return ""


def prompts_needed(row: Difference, gain: float) -> int | None:
    """About how many prompts would show a ``gain`` with 80 % power; None where that is not known, or seeds are few."""
    wanted = gain * abs(row.score_a)
    if not wanted or row.seeds or not math.isfinite(row.minimum_detectable_effect):
        return None
    return math.ceil(row.prompts * (row.minimum_detectable_effect / wanted) ** 2)


def line(entry: Entry, significance: float) -> MatrixLine:
    """What the comparison says of one row: met, not met or not resolvable, with a sentence."""
    row, facts, found = entry.row, entry.facts, entry.measured
    title, direction = (facts.title, facts.direction) if facts else _unmeasured(row)
    bands = (row.strong, row.moderate, row.strong_loss, row.tolerated_loss)
    signature = facts.signature if facts else ""
    if found is None:
        reason = entry.difference.reason if entry.difference else ""
        said = f"{title}: not computed: {reason}." if reason else ""
        return MatrixLine(signature, title, direction, *bands, found=NOT_MEASURED, said=said)
    level, told = _gain(entry, found, significance) if row.moderate is not None else ("", "")
    kept, lost = _kept(row, found) if row.tolerated_loss is not None else ("", "")
    odd = " †" if level and at_odds(found, significance) else ""
    words = {STRONG: f"{MET}: strong", MODERATE: f"{MET}: moderate", UNRESOLVED: UNRESOLVED, WORSE: f"{NOT_MET}: worse"}
    return MatrixLine(
        signature,
        title,
        direction,
        *bands,
        gain=relative(found),
        interval=span_of_gain(found),
        level=level,
        kept=kept,
        found="; ".join(filter(None, [words.get(level, NOT_MET) + odd if level else "", kept])),
        said=f"{title}: {'; '.join(filter(None, [described(found), told, lost]))}.",
        prompts_needed=prompts_needed(found, row.moderate) if level == UNRESOLVED and row.moderate else None,
    )


class _Named(dict[str, object]):
    """The options of a metric that was not measured, under their names where they are not known."""

    def __missing__(self, name: str) -> str:
        return name


def _unmeasured(row: MatrixRow) -> tuple[str, int]:
    """Title and direction of a row without a measured metric, as far as the shelf knows its kind."""
    (kind, options), asked = split(row.metric), {"more": 1, "less": -1}.get(row.direction or "")
    try:
        metric = kind_class("metrics", kind)
    except InputError:
        return kind, asked or 0
    given = {name: field.default for name, field in metric.__dataclass_fields__.items()}
    known = {name: value for name, value in given.items() if isinstance(value, str | int | float)}
    return metric.title.format_map(_Named(known | {"k": row.k or "k"} | options)), asked or metric.direction


def _gain(entry: Entry, row: Difference, significance: float) -> tuple[str, str]:
    """The level of a row that asks for a gain, and why."""
    moderate, strong = entry.row.moderate or 0.0, entry.row.strong or math.inf
    gain, sure = relative(row) if row.score_a else math.inf, clear(row, significance)
    if row.asked and row.prompts < LEAST_SHARE * row.asked:
        return UNRESOLVED, f"only {row.prompts} of {row.asked} prompts could be compared, which decides nothing"
    if sure > 0:
        level = STRONG if gain >= strong else MODERATE if gain >= moderate else WEAK
        bounds = f"moderate from {moderate:.0%}" + (f", strong from {strong:.0%}" if math.isfinite(strong) else "")
        return level, f"clear of 0 after Holm (p = {row.p_holm:.2g}): {level} ({bounds})"
    if sure < 0:
        return WORSE, f"clearly worse (p = {row.p_holm:.2g})"
    odds = at_odds(row, significance) or "not clear of 0"
    if span_of_gain(row)[1] < moderate:
        return NO_GAIN, f"{odds}, and a gain of {moderate:.0%} or more is excluded"
    smallest = relative(row, abs(row.minimum_detectable_effect))
    if not math.isfinite(smallest):
        return UNRESOLVED, f"{odds}; the smallest effect these prompts would show is not known"
    needed = prompts_needed(row, moderate)
    more = f"; a gain of {moderate:.0%} would take about {needed:,} prompts" if needed else ""
    return UNRESOLVED, f"{odds}; the smallest gain {evidence(row)} show is {share(abs(smallest))}{more}"


def _kept(row: MatrixRow, found: Difference) -> tuple[str, str]:
    """Whether a loss beyond the tolerated one is excluded, seen, or neither; and why."""
    tolerated, loss, worst = row.tolerated_loss or 0.0, -relative(found), -span_of_gain(found)[0]
    if not math.isfinite(worst):
        return UNRESOLVED, "how large a loss there may be is not known"
    why = "no loss lies within the interval" if worst <= 0 else f"a loss of up to {share(worst)} cannot be excluded"
    if worst <= tolerated:
        return MET, why
    if loss > tolerated:
        return NOT_MET, f"more than the tolerated loss of {tolerated:.0%}"
    return UNRESOLVED, f"{why}, {tolerated:.0%} is tolerated"
