"""Whether drawing N candidates and keeping the one a scorer prefers pays, from samples that exist already.

All expectations are over random N-subsets of the n samples of a prompt, without replacement; prompts are what
intervals resample. A scorer is judged by what its choices are worth, between a single sample and the oracle.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np

from polychromic.analysis.resampling import Array, Plan, bootstrap, intervals, jackknife
from polychromic.code.candidates import Candidates
from polychromic.code.nouns import Choice, Ground
from polychromic.core.nouns import Status
from polychromic.core.protocols import Scorer
from polychromic.diversity.subsets import best_of_k, expected_distinct, pass_at_k, pass_hat_k

DIFFER = 0.5
"""Candidates differ at a temperature when this share of the prompts has two that are not identical."""
ROUNDING = 1e-9
"""Smaller differences between shares are rounding: a scorer that cannot tell candidates apart gains exactly nothing."""


def ground(candidates: Sequence[Candidates], n: int) -> Ground:
    """What N candidates hold, over the prompts that have at least N."""
    enough = [item for item in candidates if len(item.samples.completions) >= n]
    first = candidates[0].samples
    common = (first.policy, first.decoding.temperature, n)
    if not enough:
        return Ground(*common, 0, *(math.nan,) * 5, reason=f"no prompt has {n} samples")
    identical, distinct = zip(*(_sameness(item, n) for item in enough), strict=True)
    judged = [(len(item.verdicts), _passes(item)) for item in enough if _judged(item)]
    single = float(np.mean([sum(p) / size for size, p in judged])) if judged else math.nan
    oracle = float(np.mean([float(pass_at_k(size, sum(p), n)) for size, p in judged])) if judged else math.nan
    short = len(candidates) - len(enough)
    notes = [f"{short} prompts have fewer than {n} samples"] if short else []
    notes += [f"{len(enough) - len(judged)} prompts are not judged"] if len(judged) < len(enough) else []
    repeats = 1.0 - float(np.mean(distinct)) / n
    return Ground(*common, len(enough), single, oracle, float(np.mean(identical)), repeats, float(n), "; ".join(notes))


def choice(candidates: Sequence[Candidates], name: str, scorer: Scorer, n: int, plan: Plan | None = None) -> Choice:
    """What the scorer's choices among N are worth, over the judged prompts that it can score."""
    usable, lacking = [], 0
    for item in candidates:
        if len(item.samples.completions) < n or not _judged(item):
            continue
        scores = scorer.scores(item)
        if any(math.isnan(score) for score in scores):
            lacking += 1
        else:
            usable.append((scores, _passes(item)))
    if not usable:
        reason = "the samples do not hold what it needs" if lacking else f"no judged prompt has {n} samples"
        return Choice(name, *(math.nan,) * 7, 0, *(math.nan,) * 3, reason=reason)
    single = np.array([sum(passes) / len(passes) for _, passes in usable])
    gains = np.array([best_of_k(scores, passes, n) for scores, passes in usable]) - single
    gains[np.abs(gains) < ROUNDING] = 0.0
    oracle = float(np.mean([float(pass_at_k(len(p), sum(p), n)) for _, p in usable]))
    low, high = _interval(gains, plan or Plan(resamples=2000))
    alone, gain = float(single.mean()), float(gains.mean())
    selected = alone + gain
    aucs = [value for value in (auc(scores, passes) for scores, passes in usable) if value is not None]
    room = oracle - alone
    return Choice(
        name,
        selected,
        gain,
        low,
        high,
        oracle - selected,
        gain / room if room > ROUNDING else math.nan,
        float(np.mean(aucs)) if aucs else math.nan,
        len(aucs),
        float(np.mean([np.std(scores) for scores, _ in usable])),
        n / selected if selected else math.inf,
        1 / alone if alone else math.inf,
        f"{lacking} prompts cannot be scored" if lacking else "",
    )


def auc(scores: Sequence[float], passes: Sequence[float]) -> float | None:
    """P(a right candidate is scored above a wrong one), ties one half; None without both kinds."""
    right = np.array([score for score, passed in zip(scores, passes, strict=True) if passed])
    wrong = np.array([score for score, passed in zip(scores, passes, strict=True) if not passed])
    if not right.size or not wrong.size:
        return None
    above = (right[:, None] > wrong[None, :]).mean()
    return float(above + 0.5 * (right[:, None] == wrong[None, :]).mean())


def differing_temperature(shares: Mapping[float, float]) -> float | None:
    """The lowest temperature at which candidates start to differ; ``shares`` are the all-identical shares."""
    return min((t for t, share in shares.items() if 1.0 - share >= DIFFER), default=None)


def advice(base: Ground, choices: Sequence[Choice], differs_at: float | None) -> str:
    """One sentence: whether N candidates pay here, and what to change if not."""
    where = f"N={base.n} at temperature {base.temperature:g}"
    if not base.prompts:
        return f"{where}: nothing can be said, {base.reason}."
    if base.all_identical >= DIFFER:
        hint = "raise the temperature first"
        if differs_at is not None and differs_at > base.temperature:
            hint = f"sample at temperature {differs_at:g}, where they start to differ"
        return f"{where} does not pay: in {base.all_identical:.0%} of the prompts all candidates are the same; {hint}."
    if math.isnan(base.single):
        return f"{where}: candidates differ; judge them first, without verdicts nobody can say whether choosing pays."
    room = base.oracle - base.single
    if room < 0.02:
        return f"{where} does not pay: even a perfect scorer would add only {room:.1%} to {base.single:.1%}."
    known = [item for item in choices if not math.isnan(item.selected)]
    if not known:
        return f"{where}: a perfect scorer would add {room:.1%}, but no scorer here can judge these samples."
    best = max(known, key=lambda item: item.gain)
    if not best.low > 0:
        return (
            f"{where} does not pay yet: the candidates hold {room:.1%} more, but no scorer finds it (best: "
            f"{best.scorer}, {best.gain:+.1%}, interval {best.low:+.1%} to {best.high:+.1%})."
        )
    return (
        f"{where} pays with {best.scorer}: {best.selected - best.gain:.1%} becomes {best.selected:.1%} of a possible "
        f"{best.selected + best.oracle_gap:.1%}, at {best.cost_per_pass:.1f} instead of "
        f"{best.single_cost_per_pass:.1f} samples a passing answer{f' ({best.reason})' if best.reason else ''}."
    )


def _sameness(item: Candidates, n: int) -> tuple[float, float]:
    """The chance that N of the prompt's samples are all the same, and how many different ones to expect."""
    counts = list(Counter(item.identities()).values())
    size = len(item.samples.completions)
    same = float(np.sum(pass_hat_k(size, np.array(counts), n)))
    return min(1.0, same), expected_distinct(counts, n)


def _judged(item: Candidates) -> bool:
    return all(verdict.status is not Status.ABSENT for verdict in item.verdicts)


def _passes(item: Candidates) -> list[float]:
    return [float(verdict.passed) for verdict in item.verdicts]


def _interval(values: Array, plan: Plan) -> tuple[float, float]:
    column, ones = values[:, None], np.ones((len(values), 1))
    draws = bootstrap(column, ones, plan)
    low, high = intervals(draws, column.mean(axis=0), jackknife(column, ones), plan)[0]
    return float(low), float(high)
