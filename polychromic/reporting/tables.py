"""Tables as plain rows of text, for the page, the Markdown twin and the terminal."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

DASH = "–"
Comparison = Mapping[str, Any]


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


def span(row: Mapping[str, Any]) -> str:
    """The interval of a row with ``low`` and ``high``; a dash when there is none."""
    if row["low"] is None or row["high"] is None:
        return DASH
    return f"{signed(row['low'])} to {signed(row['high'])}"


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
class Score:
    """One cell of the headline table: a score, its interval, and how it differs from the baseline.

    ``mark`` is "better", "worse" or "" by a Holm-corrected interval clear of 0; ``smallest`` is the smallest
    difference that would have been seen.
    """

    value: float | None
    low: float | None
    high: float | None
    change: float | None = None
    mark: str = ""
    smallest: float | None = None
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Headline:
    """The headline table: columns are (name, direction), rows (model, scores)."""

    columns: tuple[tuple[str, int], ...]
    rows: tuple[tuple[str, tuple[Score, ...]], ...]


def headline_signatures(comparison: Comparison) -> list[str]:
    """The signatures people look at first, in order: of pass@k the smallest k and the one near 10, else the largest."""
    known = comparison["signatures"]
    computed = {row["signature"] for row in comparison["scores"] if row["score"] is not None}
    chosen: list[str] = []
    kinds: dict[str, list[str]] = {}
    for signature, facts in known.items():
        if facts["headline"] and signature in computed:
            kinds.setdefault(facts["kind"], []).append(signature)
    for kind in sorted(kinds, key=lambda each: known[kinds[each][0]]["headline"]):
        ordered = sorted(kinds[kind], key=lambda each: known[each]["k"])
        if kind == "distinct_correct" or known[ordered[0]]["role"] != "quality":
            chosen.append(ordered[-1])
        else:
            near = min(ordered, key=lambda each: abs(known[each]["k"] - 10))
            chosen += dict.fromkeys((ordered[0], near))
    return chosen[:7]


def headline(comparison: Comparison, temperature: float) -> Headline:
    """Models x headline metrics at one temperature."""
    signatures = headline_signatures(comparison)
    scores = {(row["model"], row["signature"]): row for row in at(comparison["scores"], temperature)}
    baseline = comparison["settings"]["baseline"]
    paired = {
        (row["b"], row["metric"]): row for row in at(comparison["comparisons"], temperature) if row["a"] == baseline
    }
    columns = tuple(
        (comparison["signatures"][each]["name"], comparison["signatures"][each]["direction"]) for each in signatures
    )
    rows = tuple(
        (model, tuple(_score(scores.get((model, each)), paired.get((model, each)), comparison) for each in signatures))
        for model in comparison["models"]
    )
    return Headline(columns, rows)


def at(rows: Sequence[Mapping[str, Any]], temperature: float) -> list[Mapping[str, Any]]:
    """The rows of one temperature."""
    return [row for row in rows if row["temperature"] == temperature]


def _score(score: Mapping[str, Any] | None, pair: Mapping[str, Any] | None, comparison: Comparison) -> Score:
    if score is None:
        return Score(None, None, None, reason="not measured")
    low, high = score["interval"]
    plain = Score(score["score"], low, high, reason=score["reason"])
    if pair is None or pair["difference"] is None:
        return plain
    mark = marked(pair, comparison)
    smallest = pair["minimum_detectable_effect"]
    return Score(score["score"], low, high, pair["difference"], mark, smallest, score["reason"])


def marked(pair: Mapping[str, Any], comparison: Comparison) -> str:
    """Whether b is "better" or "worse": interval clear of 0 and Holm's p significant; empty otherwise."""
    low, high = pair["interval"]
    limit = comparison["settings"]["thresholds"]["significance"]
    if low is None or high is None or pair["p_holm"] is None or pair["p_holm"] >= limit or low <= 0 <= high:
        return ""
    direction = comparison["signatures"][pair["metric"]]["direction"]
    if not direction:
        return "differs"
    return "better" if (low > 0) == (direction > 0) else "worse"


def all_differences(comparison: Comparison) -> list[dict[str, Any]]:
    """Every comparison as a row with raw values for sorting and texts for reading."""
    found = []
    for row in comparison["comparisons"]:
        facts = comparison["signatures"][row["metric"]]
        low, high = row["interval"]
        found.append(
            {
                "metric": facts["name"],
                "direction": facts["direction"],
                "headline": facts["headline"],
                "a": row["a"],
                "b": row["b"],
                "temperature": row["temperature"],
                "score_a": row["score_a"],
                "score_b": row["score_b"],
                "difference": row["difference"],
                "low": low,
                "high": high,
                "relative": row["relative"],
                "p": row["p"],
                "p_holm": row["p_holm"],
                "smallest": row["minimum_detectable_effect"],
                "prompts": row["prompts"],
                "discordant": row["discordant"],
                "mark": marked(row, comparison),
                "test": row["test"],
                "reason": row["reason"],
            }
        )
    return found


def headline_markdown(table: Headline) -> str:
    """The headline table in Markdown."""
    rows = [[name, *map(_score_text, row)] for name, row in table.rows]
    return markdown(["model", *(name for name, _ in table.columns)], rows)


def _score_text(score: Score) -> str:
    text = f"{number(score.value)} [{number(score.low)}, {number(score.high)}]"
    if score.change is None:
        return text
    return f"{text}, {signed(score.change)}{'*' if score.mark else ''} (seen from {number(score.smallest)})"


def differences_markdown(comparison: Comparison, temperature: float) -> str:
    """Every comparison at one temperature in Markdown."""
    names = ["metric", "a", "b", "a scores", "b scores", "difference", "95% interval", "p", "p (Holm)", "seen from"]
    rows = [
        [
            row["metric"],
            row["a"],
            row["b"],
            number(row["score_a"]),
            number(row["score_b"]),
            signed(row["difference"]),
            span(row),
            p_value(row["p"]),
            p_value(row["p_holm"]),
            number(row["smallest"]),
        ]
        for row in all_differences(comparison)
        if row["temperature"] == temperature
    ]
    return markdown(names, rows)


def returns_table(comparison: Comparison) -> tuple[list[str], list[list[str]]]:
    """Heading and cells of what the sweep and the samples give each model; no rows without a frontier.

    Hypervolume; diversity more than the baseline's at matched quality; diversity a unit of quality given up (at the
    reference temperature); and the number of samples after which one more adds less than 0.01 pass@k.
    """
    frontier, found = comparison["frontier"], comparison.get("returns", {"collapse": [], "efficiency": []})
    if not frontier["models"]:
        return [], []
    diversity, quality = (comparison["signatures"][frontier[role]]["name"] for role in ("diversity", "quality"))
    matched = {row["b"]: row for row in frontier["matched"]}
    efficiency = {row["model"]: row for row in found["efficiency"]}
    collapse = {row["model"]: row for row in found["collapse"]}
    heading = [
        "model",
        "hypervolume",
        f"{diversity} at matched {quality}",
        f"per {quality} given up",
        "samples that pay",
    ]
    return heading, [
        [
            model,
            f"{number(facts['hypervolume'])} [{', '.join(map(number, facts['hypervolume_interval']))}]",
            _matched(matched.get(model)),
            _efficiency(efficiency.get(model)),
            _paying(collapse.get(model)),
        ]
        for model, facts in frontier["models"].items()
    ]


def _matched(row: Mapping[str, Any] | None) -> str:
    if row is None or row["difference"] is None:
        return DASH if row is None else row["reason"]
    return f"{signed(row['difference'])} [{', '.join(map(signed, row['interval']))}]"


def _efficiency(row: Mapping[str, Any] | None) -> str:
    if row is None:
        return DASH
    return number(row["efficiency"]) if row["efficiency"] is not None else row["reason"]


def _paying(row: Mapping[str, Any] | None) -> str:
    if row is None or row["reason"]:
        return DASH
    return f"all {row['samples']}" if row["collapse"] is None else f"{row['collapse']} of {row['samples']}"


def cost_markdown(rows: Sequence[Mapping[str, Any]]) -> str:
    """The account of ``analysis.cost`` in Markdown."""
    names = ["model", "tokens", "device seconds", "dollars", "times the baseline"]
    keys = ("device_seconds", "dollars", "multiplier")
    return markdown(names, [[row["model"], f"{row['tokens']:,}", *(number(row[key]) for key in keys)] for row in rows])


def sampling_table(rows: Sequence[Mapping[str, Any]], baseline: str) -> tuple[list[str], list[list[str]]]:
    """Heading and cells of the account of sampling; the columns of dollars are there when a price is known."""
    priced = any(row["dollars"] is not None and math.isfinite(row["dollars"]) for row in rows)
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
    return heading, [[row["model"], *(_amount(row[key], digits) for key, _, digits in columns)] for row in rows]


def _amount(value: float | None, digits: int) -> str:
    """A count whole, another number with its digits from 1 to 1,000, with two figures below; a dash for none."""
    if value is None or not math.isfinite(value):
        return DASH
    if digits and 0 < abs(value) < 1:
        return f"{value:.2g}"
    return f"{value:,.{digits if abs(value) < 1000 else 0}f}"


def markdown(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table; text columns left, the others right; pipes and line ends in cells are escaped."""
    lines = ["| " + " | ".join(map(cell, columns)) + " |", "|" + "---|" + "---:|" * (len(columns) - 1)]
    lines += ["| " + " | ".join(map(cell, row)) + " |" for row in rows]
    return "\n".join(lines)


def cell(text: str) -> str:
    """Text that cannot end its Markdown table cell."""
    return str(text).replace("\\", "\\\\").replace("|", "\\|").replace("\r", " ").replace("\n", " ")
