"""What to do next, in one line: more prompts, another k or task, another lambda, or deploy."""

from __future__ import annotations

from dataclasses import dataclass

from polychromic.analysis.frontier import BUYS, DOES_NOT
from polychromic.analysis.nouns import MODERATE, NO_GAIN, STRONG, WEAK, WORSE
from polychromic.analysis.verdict import Ruling

REACHABLE = 20
"""More prompts are advised up to so many times those there are."""


@dataclass(frozen=True, slots=True)
class Circumstances:
    """What the advice knows beside the verdict.

    ``beaten`` says that the base is better than the model, ``bought`` whether a temperature change buys the gain,
    ``room`` what the flags propose where the metric has none, ``seeds`` how many training runs the verdict speaks of.
    """

    model: str
    baseline: str
    prompts: int
    beaten: bool = False
    bought: str = ""
    room: str = ""
    seeds: int = 1


def following(ruling: Ruling, where: Circumstances) -> str:
    """The one line."""
    if where.beaten:
        return f"deploy the base where this counts, or train with more weight on diversity: {where.model} loses to it."
    if ruling.level in (STRONG, MODERATE):
        return (
            _deploy(where) if ruling.guarded else "judge the samples: nothing says what the gain cost in correctness."
        )
    if ruling.level == WEAK:
        return (
            "less weight on diversity or a stricter gate: the gain is paid for with correctness."
            if ruling.paid
            else f"more weight on diversity, or keep {where.baseline}: the gain is real and small."
        )
    if ruling.level == WORSE:
        return f"keep {where.baseline}."
    if ruling.level == NO_GAIN:
        return "another k, another task, or more weight on diversity; more prompts would not change this."
    if where.room:
        return where.room
    return _more(ruling, where) if where.seeds == 1 else f"more training seeds: there are {where.seeds}."


def _deploy(where: Circumstances) -> str:
    if where.bought == BUYS:
        return f"sample {where.baseline} at another temperature, which buys this gain without training."
    swept = "" if where.bought == DOES_NOT else f", unless a sweep of the temperature of {where.baseline} buys this too"
    several = "" if where.seeds >= 3 else "; a claim about the method takes three training seeds"
    return f"deploy {where.model}{swept}{several}."


def _more(ruling: Ruling, where: Circumstances) -> str:
    lead = next((each for each in ruling.lines if ruling.metrics and each.metric == ruling.metrics[0]), None)
    if lead is None or lead.prompts_needed is None:
        return "more prompts, at least 20."
    gain = f"{lead.moderate or 0:.0%}"
    if lead.prompts_needed <= where.prompts:
        return "a second evaluation with other prompts: these would have shown a useful gain in four of five cases."
    if lead.prompts_needed > REACHABLE * where.prompts:
        return (
            f"another k or another task: a gain of {gain} in {lead.title} would take {lead.prompts_needed:,} prompts."
        )
    more = f"about {lead.prompts_needed:,} prompts (now {where.prompts})"
    return f"{more}, which show a gain of {gain} in {lead.title}."
