"""What verdicts on programs add up to: pass@k with intervals, what went wrong, which rule found the programs."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from scipy.stats import binomtest

from polychromic.analysis.resampling import Plan, bootstrap, intervals, jackknife
from polychromic.analysis.significance import mcnemar_p
from polychromic.code.nouns import Amounts, Change, Failing, PassRate, Regression, RunCost, Summary
from polychromic.code.verifier import finding
from polychromic.core.nouns import Status, Verdict
from polychromic.diversity.subsets import pass_at_k
from polychromic.records.costs import TimingRow

KS = (1, 5, 10, 100)

ByTask = Mapping[str, Sequence[Verdict]]
"""Each problem's verdicts, in sample order."""


def pass_rates(verdicts: ByTask, ks: Sequence[int] = KS, plan: Plan | None = None) -> list[PassRate]:
    """pass@k for each k; verdicts that are ABSENT are no samples, and a problem with fewer than k is left out."""
    judged = {task: [v for v in given if v.status is not Status.ABSENT] for task, given in verdicts.items()}
    return [_pass_rate(list(judged.values()), k, plan or Plan(resamples=2000)) for k in ks]


def _pass_rate(judged: Sequence[Sequence[Verdict]], k: int, plan: Plan) -> PassRate:
    enough = [given for given in judged if len(given) >= k]
    counts = [(len(given), sum(verdict.passed for verdict in given)) for given in enough]
    passed = sum(c for _, c in counts) if k == 1 else sum(c > 0 for _, c in counts)
    total = sum(n for n, _ in counts) if k == 1 else len(counts)
    if not enough:
        return PassRate(k, math.nan, math.nan, math.nan, 0, 0, f"no problem has {k} judged samples")
    values = np.array([[float(pass_at_k(n, c, k))] for n, c in counts])
    ones = np.ones_like(values)
    estimate = values.mean(axis=0)
    low, high = intervals(bootstrap(values, ones, plan), estimate, jackknife(values, ones), plan)[0]
    if estimate[0] in (0.0, 1.0):  # every problem alike: resampling sees no spread, the exact binomial interval does
        low, high = binomtest(round(estimate[0] * len(counts)), len(counts)).proportion_ci(plan.confidence)
    left_out = len(judged) - len(enough)
    reason = f"{left_out} problems have fewer than {k} judged samples" if left_out else ""
    return PassRate(k, float(estimate[0]), float(low), float(high), passed, total, reason)


class Taxonomy(NamedTuple):
    """How often each outcome, each group of outcomes and each extraction rule occurred, most frequent first."""

    outcomes: dict[str, int]
    groups: dict[str, int]
    rules: dict[str, int]


def taxonomy(verdicts: Sequence[Verdict]) -> Taxonomy:
    """The histograms over all samples; verdicts without a finding count as ``not judged``."""
    found = [finding(verdict) for verdict in verdicts]
    outcomes = Counter(item.outcome if item else "not judged" for item in found)
    groups = Counter(item.group if item else "not judged" for item in found)
    rules = Counter(item.rule for item in found if item)
    return Taxonomy(*(dict(counter.most_common()) for counter in (outcomes, groups, rules)))


def failing(verdicts: ByTask) -> list[Failing]:
    """The problems that were not always solved, those solved least often first, then in reading order."""
    found = []
    for task, given in verdicts.items():
        judged = [verdict for verdict in given if verdict.status is not Status.ABSENT]
        wrong = [finding(verdict) for verdict in judged if not verdict.passed]
        if judged and not wrong:
            continue
        outcome = Counter(item.outcome if item else "other" for item in wrong).most_common(1)
        name = outcome[0][0] if outcome else "not judged"
        first = next((item.text for item in wrong if item and item.outcome == name), "")
        counts = (len(judged) - len(wrong), len(judged), len(given) - len(judged))
        found.append(Failing(task, *counts, name, first))
    return sorted(found, key=lambda item: (item.passed / max(1, item.judged), _in_reading_order(item.task)))


def by_category(verdicts: ByTask, categories: Mapping[str, str]) -> dict[str, PassRate]:
    """pass@1 of each category's problems, in order of first appearance; nothing when no problem has one."""
    groups: dict[str, dict[str, Sequence[Verdict]]] = {}
    for task, given in verdicts.items():
        if categories.get(task):
            groups.setdefault(categories[task], {})[task] = given
    return {name: pass_rates(own, (1,))[0] for name, own in groups.items()}


def cost_per_pass(rows: Sequence[TimingRow], passed: int, price_per_hour: float | None = None) -> RunCost:
    """What sampling and verifying took, in all and for one passing sample."""
    seconds = math.fsum(row.seconds for row in rows)
    drawn = [row.tokens for row in rows if row.stage == "sample"]
    known = [sum(tokens) for tokens in drawn if tokens is not None]
    tokens = sum(known) if drawn and len(known) == len(drawn) else None
    dollars = None if price_per_hour is None else seconds / 3600 * price_per_hour
    whole = (seconds, tokens, dollars)
    return RunCost(
        *whole, per_pass=Amounts(*(None if value is None or not passed else value / passed for value in whole))
    )


def regression(a: ByTask, b: ByTask, names: tuple[str, str] = ("a", "b")) -> Regression:
    """Which problems changed sides between two models of these names, by each problem's first judged sample.

    The p-value is McNemar's exact two-sided one: under the null each changed problem is equally likely gained or lost.
    """
    first_a, first_b = _first(a), _first(b)
    shared = sorted((task for task in first_a if task in first_b), key=_in_reading_order)
    changes = []
    for task in shared:
        before, after = first_a[task], first_b[task]
        if before.passed != after.passed:
            failing = finding(before if after.passed else after)
            group, outcome, text = (failing.group, failing.outcome, failing.text) if failing else ("other", "", "")
            changes.append(Change(task, after.passed, group, outcome, text))
    passes = [np.array([first[task].passed for task in shared], dtype=int) for first in (first_a, first_b)]
    groups = [dict(taxonomy([first[task] for task in shared]).groups) for first in (first_a, first_b)]
    gained = sum(change.gained for change in changes)
    solved = (int(passes[0].sum()), int(passes[1].sum()))
    lost, p_value = len(changes) - gained, mcnemar_p(*passes)
    return Regression(*names, len(shared), gained, lost, p_value, *solved, tuple(changes), *groups)


def _in_reading_order(name: str) -> list[str]:
    """A sorting key that counts: HumanEval/9 before HumanEval/10."""
    return [part.zfill(20) if part.isdecimal() else part for part in re.split(r"(\d+)", name)]


def _first(verdicts: ByTask) -> dict[str, Verdict]:
    """Each problem's first verdict that is one."""
    judged = {task: [v for v in given if v.status is not Status.ABSENT] for task, given in verdicts.items()}
    return {task: given[0] for task, given in judged.items() if given}


def summary(verdicts: ByTask, ks: Sequence[int] = KS, categories: Mapping[str, str] | None = None) -> Summary:
    """All of it: samples, problems, pass@k, categories, what failed, outcomes, groups and rules."""
    every = [verdict for given in verdicts.values() for verdict in given]
    return Summary(
        tasks=len(verdicts),
        samples=len(every),
        passed=sum(verdict.passed for verdict in every),
        absent=sum(verdict.status is Status.ABSENT for verdict in every),
        pass_at_k={str(rate.k): rate for rate in pass_rates(verdicts, ks)},
        categories=by_category(verdicts, categories or {}),
        failing=tuple(failing(verdicts)),
        **taxonomy(every)._asdict(),
    )
