"""The verdict on one variant: strong, moderate, weak, worse or not resolvable, with the reasoning in sentences."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from polychromic.analysis.nouns import MODERATE, STRONG, UNRESOLVED, WEAK, WORSE, Difference
from polychromic.core.facts import Role

EXCLUDED = "no clear gain, and none of size"


@dataclass(frozen=True, slots=True)
class Thresholds:
    """Where the levels begin, as shares of the baseline's score, and the significance every level above needs."""

    strong_diversity: float = 0.25
    moderate_diversity: float = 0.10
    strong_reach: float = 0.20
    moderate_reach: float = 0.10
    strong_quality_loss: float = 0.05
    tolerated_quality_loss: float = 0.10
    significance: float = 0.05


@dataclass(frozen=True, slots=True)
class Ruling:
    """What is said about a variant: a level, one sentence, and the reasoning, a sentence each."""

    level: str
    sentence: str
    reasoning: tuple[str, ...]


def relative(row: Difference, amount: float | None = None) -> float:
    """The difference, or another amount, as a share of the score of ``a``; NaN when that score is 0.

    Positive when ``b`` is better.
    """
    moved = row.difference if amount is None else amount
    return (row.direction or 1) * moved / abs(row.score_a) if row.score_a else math.nan


def judge(
    diversity: Difference | None, reach: Difference | None, quality: Difference | None, limits: Thresholds
) -> Ruling:
    """The verdict from comparison rows: the headline diversity metric, pass@k at the largest k, and pass@1.

    A level needs an interval clear of 0 and a Holm-corrected p below the significance; a quality loss above the
    tolerated one caps it at weak. Without a clear gain the level is "weak" when the interval excludes a moderate
    gain, "worse" when diversity clearly fell, and otherwise "not resolvable".
    """
    if diversity is None and reach is None:
        return Ruling(UNRESOLVED, "No diversity metric could be compared.", ())
    reasoning: list[str] = []
    found: list[tuple[str, Difference]] = []
    for row, strong, moderate in (
        (diversity, limits.strong_diversity, limits.moderate_diversity),
        (reach, limits.strong_reach, limits.moderate_reach),
    ):
        if row is not None and math.isfinite(row.difference):
            level, why = _level(row, strong, moderate, limits)
            found.append((level, row))
            reasoning.append(why)
        elif row is not None:
            reasoning.append(f"{row.title}: not computed: {row.reason}.")
    if not found:
        return Ruling(UNRESOLVED, "No diversity metric could be compared.", tuple(reasoning))
    level, decisive = _decided(found)
    capped, why = _with_quality(level, quality, limits)
    reasoning.append(why)
    paid = capped == WEAK and level in (STRONG, MODERATE)
    return Ruling(capped, _sentence("paid" if paid else capped, decisive, quality), tuple(reasoning))


def _decided(found: list[tuple[str, Difference]]) -> tuple[str, Difference]:
    """The level and the row it rests on: a clear loss of diversity first, then the best clear gain, then doubt."""
    if found[0][0] == WORSE:
        return found[0]
    for level in (STRONG, MODERATE, WEAK, WORSE, UNRESOLVED, EXCLUDED):
        for each, row in found:
            if each == level:
                return (WEAK if level == EXCLUDED else level), row
    raise AssertionError(found)


def clear(row: Difference, limits: Thresholds) -> int:
    """1 when b is clearly better, -1 when clearly worse, 0 when the data cannot say."""
    low, high = row.interval
    if math.isnan(low + high) or not row.p_holm < limits.significance:
        return 0
    direction = row.direction or 1
    return direction if low > 0 else -direction if high < 0 else 0


def _level(row: Difference, strong: float, moderate: float, limits: Thresholds) -> tuple[str, str]:
    gain, sure = relative(row) if row.score_a else math.inf, clear(row, limits)
    said = f"{row.title}: {described(row)}"
    if sure > 0:
        level = STRONG if gain >= strong else MODERATE if gain >= moderate else WEAK
        bounds = f"strong from {strong:+.0%}, moderate from {moderate:+.0%}"
        return level, f"{said}; the interval is clear of 0 after Holm (p = {row.p_holm:.2g}): {level} ({bounds})."
    if sure < 0:
        return WORSE, f"{said}; clearly worse (p = {row.p_holm:.2g})."
    most = max((relative(row, end) for end in row.interval if math.isfinite(end)), default=math.nan)
    if most < moderate:
        return EXCLUDED, f"{said}; not clear of 0, and a gain of {moderate:.0%} or more is excluded: weak at best."
    smallest = row.minimum_detectable_effect
    if not math.isfinite(smallest):
        return UNRESOLVED, f"{said}; not clear of 0. The smallest effect these prompts would show is not known."
    seen = f"{abs(relative(row, smallest)):.1%}"
    return UNRESOLVED, f"{said}; not clear of 0. The smallest effect these prompts would show is {seen}."


def _with_quality(level: str, quality: Difference | None, limits: Thresholds) -> tuple[str, str]:
    if quality is None or not math.isfinite(quality.difference):
        return level, "Quality was not measured: nothing says that the diversity did not cost correctness."
    loss = max(0.0, -relative(quality))
    said = f"{quality.title}: {described(quality)}"
    if level in (STRONG, MODERATE) and not loss <= limits.tolerated_quality_loss:
        return WEAK, f"{said}; more than the tolerated loss of {limits.tolerated_quality_loss:.0%}: weak at best."
    if level == STRONG and loss > limits.strong_quality_loss:
        return MODERATE, f"{said}; strong allows a loss of {limits.strong_quality_loss:.0%}: moderate."
    lowest = quality.interval[0]
    if not math.isfinite(lowest):
        return level, f"{said}; how large a loss there may be is not known."
    worst = max(0.0, -relative(quality, lowest))
    if worst == 0:
        return level, f"{said}; no loss lies within the interval."
    return level, f"{said}; a loss of up to {worst:.1%} cannot be excluded."


def disagreement(rows: Sequence[Difference], limits: Thresholds) -> list[str]:
    """A sentence when headline diversity metrics clearly fell: a reader of the verdict should know. Else nothing."""
    fallen = [
        f"{row.title} {described(row)}"
        for row in rows
        if row.role == Role.DIVERSITY and row.headline and clear(row, limits) < 0
    ]
    return [f"Not every diversity metric agrees, clearly lower are: {'; '.join(fallen)}."] if fallen else []


def described(row: Difference) -> str:
    """``0.412 -> 0.503 (+22.1%, 95% interval +15.0% to +29.4%)``."""
    low, high = row.interval
    score, moved = row.score_a, f"{row.score_a:.3f} -> {row.score_b:.3f}"
    change = f"{row.difference / abs(score):+.1%}, " if score else ""
    if not (math.isfinite(low) and math.isfinite(high)):
        return f"{moved} ({change}no interval)"
    if not score:
        return f"{moved} (interval {low:+.3f} to {high:+.3f})"
    return f"{moved} ({change}95% interval {low / abs(score):+.1%} to {high / abs(score):+.1%})"


def _change(row: Difference) -> str:
    name = row.title
    if not row.score_a:
        return f"{name} from 0 to {row.score_b:.3f}"
    return f"{name} {row.difference / abs(row.score_a):+.1%}"


def _sentence(opening: str, gain: Difference, quality: Difference | None) -> str:
    a, b = gain.a, gain.b
    known = quality is not None and math.isfinite(quality.difference)
    openings = {
        STRONG: f"{b} is much more diverse than {a}{' at equal quality' if known else ''}",
        MODERATE: f"{b} is more diverse than {a}",
        WEAK: f"{b} is at best slightly more diverse than {a}",
        "none": f"{b} is no more diverse than {a}, or so little that it does not matter",
        "paid": f"{b} is more diverse than {a}, but pays for it with correctness",
        WORSE: f"{b} is less diverse than {a}",
        UNRESOLVED: f"These prompts cannot tell whether {b} is more diverse than {a}",
    }
    if opening == WEAK and relative(gain) <= 0:
        opening = "none"
    changes = [_change(gain)] + ([_change(quality)] if quality is not None and known else [])
    return f"{openings[opening]}: {', '.join(changes)}."
