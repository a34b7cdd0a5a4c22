"""The verdict on one variant: its level, one sentence about what rose and what did not, and the reasoning."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from polychromic.analysis.matrix import MET, Entry, clear, line, relative, span_of_gain
from polychromic.analysis.nouns import (
    MODERATE,
    NO_GAIN,
    STRONG,
    UNRESOLVED,
    WEAK,
    WORSE,
    Difference,
    MatrixLine,
)
from polychromic.analysis.wording import change, compared, described, evidence, share, subject
from polychromic.core.facts import MetricFacts, Role

GAINS = (STRONG, MODERATE, WEAK)
UNJUDGED = "Whether it is right was not judged."
UNMEASURED = "Quality was not measured: nothing says that the diversity did not cost correctness."


@dataclass(frozen=True, slots=True)
class Ruling:
    """What is said about a variant: a level, one sentence, the reasoning, and the matrix it rests on.

    ``metrics`` are the signatures that decided, the one the sentence speaks of first; ``paid`` says that a gain was
    paid for with quality, ``guarded`` that quality was measured at all.
    """

    level: str
    sentence: str
    reasoning: tuple[str, ...]
    lines: tuple[MatrixLine, ...] = ()
    metrics: tuple[str, ...] = ()
    paid: bool = False
    guarded: bool = True


@dataclass(frozen=True, slots=True)
class _Decided:
    """An entry that has a number, with its line."""

    entry: Entry
    line: MatrixLine
    row: Difference
    facts: MetricFacts


def judge(found: Sequence[Entry], significance: float) -> Ruling:
    """The verdict from the matrix: the best-ranked diversity metric and pass@k decide, the other rows stand beside.

    A level needs an interval clear of 0 and a Holm-corrected p below the significance; a loss of quality above the
    tolerated one caps it at weak. Without a clear gain it is "no useful gain" when the interval excludes a moderate
    one, "worse" when diversity clearly fell, and otherwise "not resolvable".
    """
    lines = tuple(line(each, significance) for each in found)
    known = [
        _Decided(entry, told, entry.measured, entry.facts)
        for entry, told in zip(found, lines, strict=True)
        if entry.measured and entry.facts
    ]
    asked = [each for each in known if each.line.level]
    texts = sorted((each for each in asked if each.facts.role != Role.QUALITY), key=_rank)
    deciding = [*texts[:1], *(each for each in asked if each.facts.role == Role.QUALITY)]
    guards = [each for each in known if each.entry.row.tolerated_loss is not None]
    why = [told.said for told in lines if told.said]
    if not deciding:
        return Ruling(UNRESOLVED, "Nothing that a verdict could rest on was measured.", tuple(why), lines)
    lead = _leading(deciding)
    level, reasons = _capped(lead.line.level, guards)
    paid = level == WEAK and lead.line.level in (STRONG, MODERATE)
    guarded = bool(guards) or lead.facts.role == Role.QUALITY
    said = [_sentence(level, lead, guards, paid), _beside(lead, texts), "" if guarded else UNJUDGED]
    metrics = dict.fromkeys(each.facts.signature for each in (lead, *deciding, *guards))
    told = (*why, *reasons, *([] if guarded else [UNMEASURED]))
    return Ruling(level, " ".join(filter(None, said)), told, lines, tuple(metrics), paid, guarded)


def _rank(each: _Decided) -> tuple[bool, float]:
    return each.facts.role != Role.DIVERSITY, each.facts.headline or math.inf


def _leading(deciding: Sequence[_Decided]) -> _Decided:
    """The one the verdict speaks of: a clear loss of diversity first, then the best clear gain, then doubt."""
    if deciding[0].line.level == WORSE:
        return deciding[0]
    order = (STRONG, MODERATE, WEAK, WORSE, UNRESOLVED, NO_GAIN)
    return min(deciding, key=lambda each: order.index(each.line.level))


def _capped(level: str, guards: Sequence[_Decided]) -> tuple[str, list[str]]:
    """The level that the losses of quality allow, and why it is a lower one."""
    told = []
    for each in guards:
        row, loss = each.entry.row, max(0.0, -relative(each.row))
        if level in (STRONG, MODERATE) and not loss <= (row.tolerated_loss or 0.0):
            level = WEAK
            told.append(f"{each.facts.title} lost {share(loss)}, {row.tolerated_loss:.0%} is tolerated: weak at best.")
        elif level == STRONG and row.strong_loss is not None and loss > row.strong_loss:
            level = MODERATE
            told.append(f"{each.facts.title} lost {share(loss)}, strong allows {row.strong_loss:.0%}: moderate.")
    return level, told


def _sentence(level: str, lead: _Decided, guards: Sequence[_Decided], paid: bool) -> str:
    a, b, row, about = lead.row.a, lead.row.b, lead.row, subject(lead.facts)
    besides = [each for each in guards if each.facts != lead.facts]
    changes = ", ".join([change(row), *(change(each.row) for each in besides)])
    moderate = f"{lead.entry.row.moderate or 0:.0%}"
    if paid:
        return f"{b} {compared(lead.facts, lead.line.level)} than {a}, but pays for it with correctness: {changes}."
    if level in GAINS:
        kept = ", and is right as often" if besides and all(map(_no_loss, besides)) else ""
        return f"{b} {compared(lead.facts, level)} than {a}{kept}: {changes}."
    if level == WORSE:
        return f"{b} {compared(lead.facts, WORSE)} than {a}: {changes}."
    if level == NO_GAIN:
        return f"No difference of useful size between {b} and {a} in {about}: {changes}; {moderate} more is excluded."
    smallest = abs(relative(row, row.minimum_detectable_effect))
    missed = f"; a gain below {share(smallest)} can go unseen" if math.isfinite(smallest) else ""
    shown = f"{evidence(row).capitalize()} show no difference between {b} and {a} in {about}"
    return f"{shown}: {changes}{missed}."


def _no_loss(each: _Decided) -> bool:
    """Whether a loss that would cost the level strong is excluded."""
    allowed = each.entry.row.strong_loss
    return each.line.kept == MET and -span_of_gain(each.row)[0] <= (0.0 if allowed is None else allowed)


def _beside(lead: _Decided, texts: Sequence[_Decided]) -> str:
    """What the texts did where the verdict speaks of answers: a reader must not take the one for the other."""
    others = [each for each in texts if each.facts != lead.facts and not each.facts.subject]
    if not lead.facts.subject or not others:
        return ""
    risen = [each for each in others if each.line.level in GAINS]
    changes = ", ".join(change(each.row) for each in (risen or others))
    if lead.line.level in GAINS:
        how = "are more diverse too" if risen else "are not shown to be more diverse"
        return f"Its texts {how}: {changes}."
    return f"Its texts are more diverse: {changes}." if risen else ""


def disagreement(rows: Sequence[Difference], significance: float) -> list[str]:
    """A sentence when headline diversity metrics clearly fell: a reader of the verdict should know. Else nothing."""
    fallen = [
        f"{row.title} {described(row)}"
        for row in rows
        if row.role == Role.DIVERSITY and row.headline and clear(row, significance) < 0
    ]
    return [f"Not every diversity metric agrees, clearly lower are: {'; '.join(fallen)}."] if fallen else []
