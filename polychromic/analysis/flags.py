"""Is there room to see anything? Ceiling, floor, few discordant prompts, absent verdicts, truncation: in sentences."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from polychromic.analysis.headlines import pass_at_ks
from polychromic.analysis.nouns import Difference, Flag
from polychromic.analysis.table import NOT_MEASURED, MeasurementTable
from polychromic.core.facts import Role
from polychromic.core.nouns import CORPUS_LEVEL, Status, Verdict
from polychromic.records.verdicts import VerdictKey

EXPECTED = {NOT_MEASURED, CORPUS_LEVEL}
"""Reasons of numbers that nobody need miss."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """Beyond these a number is flagged; ``room`` is where a baseline pass@k can still move both ways."""

    ceiling: float = 0.95
    floor: float = 0.05
    room: tuple[float, float] = (0.2, 0.8)
    discordant: int = 20
    prompts: int = 20
    truncated: float = 0.05
    significance: float = 0.05


def flags(
    table: MeasurementTable,
    comparisons: Sequence[Difference],
    verdicts: Mapping[VerdictKey, Verdict],
    baseline: str,
    bounds: Bounds = Bounds(),
) -> list[Flag]:
    """Everything a reader should know before believing a number, worst first: kind, level, text, and where."""
    found = ceiling_flags(table, baseline, bounds)
    found += _few_flags(table, bounds)
    found += _truncation_flags(table, bounds)
    found += _text_flags(table, bounds)
    found += _absent_flags(verdicts)
    found += _discordance_flags(comparisons, baseline, bounds)
    found += _missing_flags(table)
    found += _resample_flags(comparisons, bounds)
    return sorted(found, key=lambda flag: flag.level != "warning")


def ceiling_flags(table: MeasurementTable, baseline: str, bounds: Bounds = Bounds()) -> list[Flag]:
    """A warning for each temperature at which the baseline's pass@k leaves no room, with a k that does."""
    found = []
    for temperature in table.swept(baseline):
        curve = pass_curve(table, baseline, temperature)
        for kind, beyond in (
            ("ceiling", [k for k, score in curve.items() if score > bounds.ceiling]),
            ("floor", [k for k, score in curve.items() if score < bounds.floor]),
        ):
            if beyond:
                side = f"above {bounds.ceiling:g}" if kind == "ceiling" else f"below {bounds.floor:g}"
                named = ", ".join(f"pass@{k} = {curve[k]:.3f}" for k in beyond)
                text = f"{baseline} at temperature {temperature:g}: {named}, {side}: little room to see a difference"
                found.append(Flag(kind, "warning", f"{text}; {proposal(curve, bounds)}.", baseline, temperature))
    return found


def room(table: MeasurementTable, baseline: str, temperature: float, bounds: Bounds = Bounds()) -> str:
    """What to do where every pass@k of the baseline leaves no room, in the words of ``proposal``; empty otherwise."""
    curve = pass_curve(table, baseline, temperature)
    inside = [score for score in curve.values() if bounds.floor <= score <= bounds.ceiling]
    return "" if inside or not curve else f"{proposal(curve, bounds)}."


def _few_flags(table: MeasurementTable, bounds: Bounds) -> list[Flag]:
    """Bootstrap intervals from few prompts are too narrow (simulated: 5 prompts cover 82 %, 10 cover 89 %)."""
    common = len(frozenset.intersection(*table.asked.values()))
    if common >= bounds.prompts:
        return []
    text = f"{common} prompt{'s' if common > 1 else ''}: intervals from fewer than {bounds.prompts} are too narrow"
    return [Flag("few", "warning", f"{text}, and from a single one there are none.")]


def pass_curve(table: MeasurementTable, model: str, temperature: float) -> dict[int, float]:
    """pass@k by k, of one model at one temperature."""
    cells = {each.k: table.cell(model, temperature, each.signature) for each in pass_at_ks(table.facts.values())}
    return {k: cell.score for k, cell in cells.items() if cell is not None and math.isfinite(cell.score)}


def proposal(curve: Mapping[int, float], bounds: Bounds = Bounds()) -> str:
    """Which k leaves room, interpolated on a log axis between the measured ones; or what to do when none does."""
    low, high = bounds.room
    fitting = [k for k, score in curve.items() if low <= score <= high]
    if fitting:
        return f"look at k = {max(fitting)}"
    ks, values = sorted(curve), [curve[k] for k in sorted(curve)]
    if values and values[0] > high:
        return "the task is too easy at every k: take harder prompts or a stricter checker"
    if values and values[-1] < low:
        return "the task is too hard at every k: take easier prompts or more samples"
    guess = round(math.exp(float(np.interp((low + high) / 2, values, np.log(ks)))))
    return f"measure pass@{guess}, which should lie near {(low + high) / 2:g}"


def _truncation_flags(table: MeasurementTable, bounds: Bounds) -> list[Flag]:
    found = []
    for (model, temperature, signature), cell in table.cells.items():
        if table.facts[signature].kind == "truncated" and cell.score > bounds.truncated:
            text = f"{model} at temperature {temperature:g}: {cell.score:.0%} of the samples were cut off at the limit."
            found.append(Flag("truncation", "warning", text, model, temperature))
    return found


def _text_flags(table: MeasurementTable, bounds: Bounds) -> list[Flag]:
    """Texts that the encoder saw in part or that were empty, for the first metric of each model that counts them."""
    found, told = [], set[tuple[str, float]]()
    for (model, temperature, _), cell in table.cells.items():
        if (model, temperature) in told or not cell.texts.get("texts") or "cut" not in cell.texts:
            continue
        told.add((model, temperature))
        seen, empty = cell.texts["texts"], cell.texts.get("empty", 0)
        for share, text in (
            (cell.texts["cut"] / seen, "of the texts are longer than the encoder reads: it compares their beginnings"),
            (empty / (seen + empty), "of the texts are empty and left out of the semantic metrics"),
        ):
            if share > 0:
                level = "warning" if share > bounds.truncated else "note"
                said = f"{model} at temperature {temperature:g}: {_percent(share)} {text}."
                found.append(Flag("texts", level, said, model, temperature))
    return found


def _percent(share: float) -> str:
    return f"{share:.0%}" if share >= 0.01 else "under 1%"


def _absent_flags(verdicts: Mapping[VerdictKey, Verdict]) -> list[Flag]:
    total = Counter(key[0] for key in verdicts)
    absent = Counter(key[0] for key, verdict in verdicts.items() if verdict.status is Status.ABSENT)
    return [
        Flag("absent", "warning", f"{model}: {absent[model]} of {total[model]} samples have no verdict.", model)
        for model in absent
    ]


def _discordance_flags(comparisons: Sequence[Difference], baseline: str, bounds: Bounds) -> list[Flag]:
    few: dict[tuple[str, float, int], list[str]] = {}
    for row in comparisons:
        judged = row.prompts and row.headline and row.role != Role.LENGTH
        if row.a == baseline and judged and row.discordant < bounds.discordant:
            place = (row.b, row.temperature, row.prompts)
            few.setdefault(place, []).append(f"{row.title} ({row.discordant})")
    return [
        Flag(
            "discordant",
            "note",
            f"{b} against {baseline} at temperature {temperature:g}: fewer than {bounds.discordant} of {prompts}"
            f" prompts differ in {', '.join(names)}.",
            b,
            temperature,
        )
        for (b, temperature, prompts), names in few.items()
    ]


def _resample_flags(comparisons: Sequence[Difference], bounds: Bounds) -> list[Flag]:
    """A permutation p is at least 1 / (1 + resamples): times the family it must still be able to be significant."""
    worst = max((row.family * row.smallest_p for row in comparisons), default=0.0)
    if worst < bounds.significance:
        return []
    text = f"Too few resamples: no permutation p-value can be below {worst:.2g} after Holm; ask for more."
    return [Flag("resamples", "warning", text)]


def _missing_flags(table: MeasurementTable) -> list[Flag]:
    common = frozenset.intersection(*table.asked.values())
    lost = {model: len(table.prompts) - len(own) for model, own in table.asked.items() if len(own) < len(table.prompts)}
    found = []
    if lost:
        named = ", ".join(f"{model} lacks {count}" for model, count in lost.items())
        text = f"The models were not asked the same prompts: {named} of {len(table.prompts)}; {len(common)} are common."
        found.append(Flag("prompts", "warning", text))
    for signature in table.signatures:
        cells = {key: cell for key, cell in table.cells.items() if key[2] == signature}
        why = Counter[str]()
        for cell in cells.values():
            why.update({text: count for text, count in cell.reasons.items() if text not in EXPECTED})
        if why:
            models = list(dict.fromkeys(key[0] for key, cell in cells.items() if set(cell.reasons) - EXPECTED))
            prompts = sum(len(cell.valid) for cell in cells.values())
            also = f", and {len(why) - 1} other reasons" if len(why) > 1 else ""
            facts = table.facts[signature]
            text = f"{facts.title}: not computed {sum(why.values())} times of {prompts} ({', '.join(models)})"
            level = "warning" if facts.headline else "note"
            found.append(Flag("missing", level, f"{text}: {why.most_common(1)[0][0]}{also}."))
    return found
