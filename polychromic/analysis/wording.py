"""What rose or fell, in words: more different right answers where they did, more diverse texts only where texts did."""

from __future__ import annotations

import math

from polychromic.analysis.nouns import MODERATE, STRONG, WORSE, Difference
from polychromic.core.facts import MetricFacts, Role


def share(value: float) -> str:
    """A share as a percentage with one decimal, whole from 100 % on."""
    return f"{value:.1%}" if abs(value) < 1 else f"{value:.0%}"


def described(row: Difference) -> str:
    """``0.412 -> 0.503 (+22.1%, 95% interval +15.0% to +29.4%)``."""
    low, high = row.interval
    score, moved = row.score_a, f"{row.score_a:.3f} -> {row.score_b:.3f}"
    known = f"{row.difference / abs(score):+.1%}, " if score else ""
    if not (math.isfinite(low) and math.isfinite(high)):
        return f"{moved} ({known}no interval)"
    if not score:
        return f"{moved} (interval {low:+.3f} to {high:+.3f})"
    return f"{moved} ({known}95% interval {low / abs(score):+.1%} to {high / abs(score):+.1%})"


def change(row: Difference) -> str:
    """``pass@1 -2.0%``."""
    if not row.score_a:
        return f"{row.title} from 0 to {row.score_b:.3f}" if row.score_b else f"{row.title} 0 in both"
    return f"{row.title} {row.difference / abs(row.score_a):+.1%}"


def scores(row: Difference) -> str:
    """``pass@1 0.412 against 0.503``, b's score first."""
    return f"{row.title} {row.score_b:.3f} against {row.score_a:.3f}"


def evidence(row: Difference) -> str:
    """What the difference was seen on: ``these 150 prompts``, ``these 3 and 2 training runs``."""
    if row.seeds:
        return f"these {row.seeds[1]} and {row.seeds[0]} training runs"
    return f"these {row.prompts} prompts"


def subject(facts: MetricFacts) -> str:
    """What the metric is about: different right answers, the texts' diversity, or the metric by its title."""
    return facts.subject or ("diversity of the texts" if facts.role == Role.DIVERSITY else facts.title)


def compared(facts: MetricFacts, level: str) -> str:
    """What one model has or is against another, up to "than": ``has many more different right answers``."""
    if not facts.subject and facts.role != Role.DIVERSITY:
        size = {STRONG: "much better", MODERATE: "better", WORSE: "worse"}.get(level, "slightly better")
        return f"is {size} in {facts.title}"
    countable = bool(facts.subject)
    if level == WORSE:
        size = "fewer" if countable else "less"
    else:
        size = {STRONG: "many more" if countable else "much more", MODERATE: "more"}.get(level, "slightly more")
    return f"has {size} {facts.subject or 'diverse texts'}"
