"""Every trained model beside the untrained base: whether training won or lost what the verdict speaks of."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

from polychromic.analysis.matrix import Entry, clear, relative, with_differences
from polychromic.analysis.nouns import MODERATE, AgainstBase, Difference
from polychromic.analysis.wording import compared, scores
from polychromic.core.facts import MetricFacts, Role

BASE, MODEL = "base", "model"


def flipped(row: Difference) -> Difference:
    """The same difference seen from the other side."""
    low, high = row.interval
    turned = replace(row, a=row.b, b=row.a, score_a=row.score_b, score_b=row.score_a, difference=-row.difference)
    turned = replace(turned, interval=(-high, -low))
    return replace(turned, relative=relative(turned))


def against_base(
    found: Sequence[Entry], rows: Sequence[Difference], base: str, model: str, significance: float
) -> AgainstBase | None:
    """What ``model`` is beside ``base``, by the rows of the matrix; None when nothing was measured on both."""
    own = [row if row.a == base else flipped(row) for row in rows if {row.a, row.b} == {base, model}]
    known = [(each.measured, each.facts) for each in with_differences(found, own) if each.measured and each.facts]
    known = [(row, facts) for row, facts in known if row is not None and facts is not None]
    if not known:
        return None
    lead, facts = min(known, key=lambda each: (each[1].role != Role.DIVERSITY, each[1].headline or math.inf))
    sides = {side: [row for row, _ in known if clear(row, significance) == side and row != lead] for side in (1, -1)}
    sure = clear(lead, significance)
    better = {1: MODEL, -1: BASE}.get(sure, "")
    sentence = _sentence(lead, facts, sure, sides[1], sides[-1])
    return AgainstBase(model, base, lead.metric, better, sentence, lead.score_b, lead.score_a)


def _sentence(
    lead: Difference, facts: MetricFacts, sure: int, won: Sequence[Difference], lost: Sequence[Difference]
) -> str:
    base, model = lead.a, lead.b
    worse = f"; {base} is better in {_listed(lost, 'a')}" if lost else ""
    better = f"; {model} is better in {_listed(won, 'b')}" if won else ""
    if sure < 0:
        turned = flipped(lead)
        has = f"the untrained {base} {compared(facts, MODERATE)} than {model} ({scores(turned)})"
        return f"{model} is not better than the base: {has}{worse}{better}."
    if sure > 0:
        return f"{model} {compared(facts, MODERATE)} than the untrained {base} ({scores(lead)}){worse}{better}."
    if won:
        return f"{model} is no better than the untrained {base} in {lead.title} ({scores(lead)}){worse}{better}."
    return f"{model} is not better than the base: no row shows it better than the untrained {base}{worse}."


def _listed(rows: Sequence[Difference], better: str) -> str:
    return ", ".join(scores(row if better == "b" else flipped(row)) for row in rows)


def opening(found: Sequence[AgainstBase], model: str, titles: dict[str, str]) -> str:
    """The sentence that comes before every verdict where the base is better; empty where it is not.

    ``model`` is the one that the verdict to follow speaks of.
    """
    beaten = [each for each in found if each.better == BASE]
    if found and len(beaten) == len(found) > 1:
        best = min(beaten, key=lambda each: abs(each.score - each.base_score))
        title = titles.get(best.metric, best.metric)
        return (
            f"The untrained base is better than every trained model: {title} {best.base_score:.3f} against "
            f"{best.score:.3f} of {best.model}, the nearest."
        )
    return next((each.sentence for each in beaten if each.model == model), "")
