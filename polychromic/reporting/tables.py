"""Tables as plain rows of text, for the page, the Markdown twin and the terminal."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from polychromic.analysis.cost import AccountRow, SamplingRow
from polychromic.analysis.matrix import at_odds
from polychromic.analysis.nouns import NO_INTERVAL, Collapse, Difference, Efficiency, Interval, Matched, ScoreRow
from polychromic.analysis.record import Comparison
from polychromic.core.facts import MetricFacts, Role
from polychromic.reporting import markdown

DASH = "–"
DETECTABLE = "minimum detectable effect"
"""The smallest true difference that the prompts would show with 80 % power, in the family that Holm corrects over."""


def number(value: float | None, digits: int = 3) -> str:
    """A number to read: three decimals below 10, fewer above, a dash when there is none."""
    if value is None or not math.isfinite(value):
        return DASH
    size = abs(value)
    places = digits if size < 10 else 1 if size < 1000 else 0
    return f"{value:,.{places}f}".replace("-", "−")


def signed(value: float | None, digits: int = 3) -> str:
    """A difference with its sign."""
    if value is None or not math.isfinite(value):
        return DASH
    return ("+" if value > 0 else "") + number(value, digits)


def span(interval: Interval) -> str:
    """An interval to read; a dash when there is none."""
    low, high = interval
    return DASH if math.isnan(low + high) else f"{signed(low)} to {signed(high)}"


def bounds(interval: Interval) -> str:
    """An interval in brackets, as it stands beside a score."""
    return f"[{', '.join(map(number, interval))}]"


def duration(seconds: float) -> str:
    """Seconds in the unit that a person would use."""
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"


def detectable(comparison: Comparison) -> str:
    """What a minimum detectable effect is, in one line."""
    sizes = sorted({row.family for row in comparison.from_baseline()} - {0, 1})
    several = f", in Holm's families of {' and '.join(map(str, sizes))} comparisons" if sizes else ""
    return f"minimum detectable effect, the smallest true difference these prompts show with 80 % power{several}"


def percent(value: float | None, digits: int = 1) -> str:
    """A share with its sign, as a percentage; a dash when there is none."""
    if value is None or not math.isfinite(value):
        return DASH
    return f"{value:+.{digits}%}".replace("-", "−")


def p_value(value: float | None) -> str:
    """A p-value: two digits, never 0."""
    if value is None or not math.isfinite(value):
        return DASH
    return "< 0.001" if value < 0.001 else f"{value:.3f}" if value < 0.1 else f"{value:.2f}"


@dataclass(frozen=True, slots=True)
class ScoreCell:
    """One cell of the headline table: a score, its interval, and how it differs from the baseline.

    ``mark`` is "better" or "worse" by an interval clear of 0 and Holm's p, "odd" where only one of them says so;
    ``smallest`` is the minimum detectable effect. NaN for what there is not.
    """

    value: float = math.nan
    interval: Interval = NO_INTERVAL
    change: float = math.nan
    mark: str = ""
    smallest: float = math.nan
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Headline:
    """The headline table: columns are (name, direction), rows (model, cells)."""

    columns: tuple[tuple[str, int], ...]
    rows: tuple[tuple[str, tuple[ScoreCell, ...]], ...]


def headline_metrics(comparison: Comparison) -> list[MetricFacts]:
    """The metrics people look at first, in order: of pass@k the smallest k and the one near 10, else the largest."""
    computed = {row.signature for row in comparison.scores if math.isfinite(row.score)}
    chosen: list[MetricFacts] = []
    kinds: dict[str, list[MetricFacts]] = {}
    for signature, facts in comparison.metrics.items():
        if facts.headline and signature in computed:
            kinds.setdefault(facts.kind, []).append(facts)
    for group in sorted(kinds.values(), key=lambda each: each[0].headline):
        ordered = sorted(group, key=lambda each: each.k)
        if ordered[0].role != Role.QUALITY:
            chosen.append(ordered[-1])
        else:
            near = min(ordered, key=lambda each: abs(each.k - 10))
            chosen += [ordered[0]] if near is ordered[0] else [ordered[0], near]
    return chosen[:7]


def headline(comparison: Comparison) -> Headline:
    """Models x headline metrics at the temperature that verdicts speak about."""
    metrics = headline_metrics(comparison)
    scores = {(row.model, row.signature): row for row in comparison.scores if row.temperature == comparison.temperature}
    paired = {(row.b, row.metric): row for row in comparison.from_baseline()}
    limit = comparison.settings.thresholds.significance
    rows = tuple(
        (
            model,
            tuple(
                _score(scores.get((model, each.signature)), paired.get((model, each.signature)), limit)
                for each in metrics
            ),
        )
        for model in comparison.models
    )
    return Headline(tuple((each.title, each.direction) for each in metrics), rows)


def _score(score: ScoreRow | None, pair: Difference | None, limit: float) -> ScoreCell:
    if score is None:
        return ScoreCell(reason="not measured")
    if pair is None or math.isnan(pair.difference):
        return ScoreCell(score.score, score.interval, reason=score.reason)
    smallest = pair.minimum_detectable_effect
    return ScoreCell(score.score, score.interval, pair.difference, marked(pair, limit), smallest, score.reason)


def marked(pair: Difference, limit: float) -> str:
    """Whether b is "better" or "worse": interval clear of 0 and Holm's p below the limit; "odd" where only one is."""
    low, high = pair.interval
    if at_odds(pair, limit):
        return "odd"
    if math.isnan(low + high) or not pair.p_holm < limit or low <= 0 <= high:
        return ""
    if not pair.direction:
        return "differs"
    return "better" if (low > 0) == (pair.direction > 0) else "worse"


def odds(comparison: Comparison) -> str:
    """Why some intervals of the headline table and Holm's p seem to contradict each other; empty where none does."""
    limit, shown = (
        comparison.settings.thresholds.significance,
        {each.signature for each in headline_metrics(comparison)},
    )
    rows = [row for row in comparison.from_baseline() if row.metric in shown]
    told = [f"{row.title} of {row.b}: {why}" for row in rows if (why := at_odds(row, limit))]
    return f"† {'; '.join(told)}." if told else ""


def headline_markdown(table: Headline) -> markdown.Markdown:
    """The headline table in Markdown."""
    rows = [[name, *map(_score_text, row)] for name, row in table.rows]
    return markdown.table(["model", *(name for name, _ in table.columns)], rows)


def _score_text(score: ScoreCell) -> markdown.Markdown:
    text = f"{number(score.value)} {bounds(score.interval)}"
    if not math.isnan(score.change):
        star = "†" if score.mark == "odd" else r"\*" if score.mark else ""
        text += f", {signed(score.change)}{star} (detectable: {number(score.smallest)})"
    return markdown.Markdown(text)


def differences_markdown(comparison: Comparison) -> markdown.Markdown:
    """Every difference at the temperature that verdicts speak about, in Markdown."""
    names = ["metric", "a", "b", "a scores", "b scores", "difference", "95% interval", "p", "p (Holm)", DETECTABLE]
    rows = [
        [
            comparison.metrics[row.metric].title,
            row.a,
            row.b,
            number(row.score_a),
            number(row.score_b),
            signed(row.difference),
            span(row.interval),
            p_value(row.p),
            p_value(row.p_holm),
            number(row.minimum_detectable_effect),
        ]
        for row in comparison.differences
        if row.temperature == comparison.temperature
    ]
    return markdown.table(names, rows)


def returns_table(comparison: Comparison) -> tuple[list[str], list[list[str]]]:
    """Heading and cells of what the sweep and the samples give each model; no rows without a frontier.

    Hypervolume; diversity more than the baseline's at matched quality; diversity gained per unit of quality lost (at
    the reference temperature); and the k beyond which pass@k gains less than 0.01.
    """
    frontier, found = comparison.frontier, comparison.returns
    if not frontier.models:
        return [], []
    diversity, quality = (comparison.metrics[each].title for each in (frontier.diversity, frontier.quality))
    matched = {row.b: row for row in frontier.matched}
    efficiency = {row.model: row for row in found.efficiency}
    collapse = {row.model: row for row in found.collapse}
    heading = [
        "model",
        "hypervolume",
        f"{diversity} at matched {quality}",
        f"diversity gained per unit of {quality} lost",
        "k beyond which pass@k gains < 0.01",
    ]
    return heading, [
        [
            model,
            f"{number(curve.hypervolume)} {bounds(curve.hypervolume_interval)}",
            _matched(matched.get(model)),
            _efficiency(efficiency.get(model)),
            _collapse(collapse.get(model)),
        ]
        for model, curve in frontier.models.items()
    ]


def _matched(row: Matched | None) -> str:
    if row is None or math.isnan(row.difference):
        return DASH if row is None else row.reason
    return f"{signed(row.difference)} [{', '.join(map(signed, row.interval))}]"


def _efficiency(row: Efficiency | None) -> str:
    if row is None:
        return DASH
    return number(row.efficiency) if math.isfinite(row.efficiency) else row.reason


def _collapse(row: Collapse | None) -> str:
    if row is None or row.reason:
        return DASH
    return f"none up to {row.samples}" if row.collapse is None else f"{row.collapse} of {row.samples}"


def cost_markdown(rows: Sequence[AccountRow]) -> markdown.Markdown:
    """The account of ``analysis.cost`` in Markdown."""
    names = ["model", "tokens", "device seconds", "dollars", "times the baseline"]
    cells = [
        [row.model, f"{row.tokens:,.0f}", *map(number, (row.device_seconds, row.dollars, row.multiplier))]
        for row in rows
    ]
    return markdown.table(names, cells)


def sampling_table(rows: Sequence[SamplingRow], baseline: str) -> tuple[list[str], list[list[str]]]:
    """Heading and cells of the account of sampling; the columns of dollars are there when a price is known."""
    priced = any(math.isfinite(row.dollars) for row in rows)
    columns = [
        ("samples", "samples", 0),
        ("passed", "passed", 0),
        ("tokens", "tokens", 0),
        ("device_seconds", "device seconds", 1),
        ("wall_seconds", "by the clock", 1),
        ("tokens_per_second", "tokens a second", 1),
        ("multiplier", f"times {baseline}", 2),
        ("device_seconds_per_pass", "seconds a pass", 1),
        ("tokens_per_pass", "tokens a pass", 1),
        *([("dollars", "dollars", 2), ("dollars_per_pass", "dollars a pass", 2)] if priced else []),
    ]
    heading = ["model", *(name for _, name, _ in columns)]
    unjudged = {row.model for row in rows if not row.judged}  # that is not "none passed"
    amounts = [
        [
            DASH if key == "passed" and row.model in unjudged else _amount(getattr(row, key), digits)
            for key, _, digits in columns
        ]
        for row in rows
    ]
    return heading, [[row.model, *own] for row, own in zip(rows, amounts, strict=True)]


def _amount(value: float | None, digits: int) -> str:
    """A count whole, another number with its digits from 1 to 1,000, with two figures below; a dash for none."""
    if value is None or not math.isfinite(value):
        return DASH
    if digits and 0 < abs(value) < 1:
        return f"{value:.2g}"
    return f"{value:,.{digits if abs(value) < 1000 else 0}f}"
