"""Exact tests, corrections, power: what a difference of paired scores can and cannot say."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats

from polychromic.analysis.nouns import Equivalence
from polychromic.analysis.resampling import Array, Pairs, scores
from polychromic.core.errors import InputError


def mcnemar_p(a: ArrayLike, b: ArrayLike) -> float:
    """Exact two-sided McNemar p-value of paired 0/1 outcomes: binomial on the discordant pairs; 1 without any."""
    first, second = np.asarray(a), np.asarray(b)
    only_a, only_b = int(((first == 1) & (second == 0)).sum()), int(((first == 0) & (second == 1)).sum())
    if only_a + only_b == 0:
        return 1.0
    return float(stats.binomtest(min(only_a, only_b), only_a + only_b, 0.5).pvalue)


def holm(p_values: ArrayLike) -> Array:
    """Holm's step-down correction of a family, same shape; NaN stays NaN and does not count towards the family."""
    raw = np.asarray(p_values, float)
    corrected = np.full(raw.shape, np.nan)
    known = np.flatnonzero(np.isfinite(raw))
    order = known[np.argsort(raw[known], kind="stable")]
    steps = raw[order] * (len(order) - np.arange(len(order)))
    corrected[order] = np.minimum(1.0, np.maximum.accumulate(steps)) if len(order) else steps
    return corrected


def influence(pairs: Pairs) -> Array:
    """Each prompt's share in the error of the difference b minus a, ``[p, m]``: the linearised ratio, mean 0."""
    units = len(pairs.numerator_a)
    sides = []
    for top, bottom in ((pairs.numerator_a, pairs.denominator_a), (pairs.numerator_b, pairs.denominator_b)):
        total = bottom.sum(axis=0)
        with np.errstate(invalid="ignore", divide="ignore"):
            sides.append(units * (top - scores(top, bottom) * bottom) / np.where(total == 0, np.nan, total))
    return np.asarray(sides[1] - sides[0])


def standard_errors(pairs: Pairs) -> Array:
    """Standard errors ``[m]`` of the paired differences; NaN with fewer than two prompts."""
    units = len(pairs.numerator_a)
    if units < 2:
        return np.full(pairs.numerator_a.shape[1], np.nan)
    return np.asarray(influence(pairs).std(axis=0, ddof=1) / math.sqrt(units))


def minimum_detectable_effect(
    standard_error: ArrayLike, freedom: float, power: float = 0.8, confidence: float = 0.95, family: int = 1
) -> Array:
    """The smallest true difference a two-sided test would show with ``power``: ``(t_conf + t_power) * se``.

    ``freedom`` is the error's degrees of freedom, for prompts one less than there are. In a ``family`` of tests it is
    that of Holm's first step, ``1 - (1 - confidence) / family``, which a single true effect has to pass. NaN where the
    standard error is 0: without one differing prompt the spread is unknown, not absent.
    """
    error = np.asarray(standard_error, float)
    if not freedom > 0:
        return np.full(error.shape, np.nan)
    tail = (1.0 - confidence) / max(1, family) / 2.0
    factor = stats.t.isf(tail, freedom) + stats.t.ppf(power, freedom)
    return np.asarray(np.where(error > 0, factor * error, np.nan))


def foreseen_effect(prompts: int, samples: int, spread: float = 0.0) -> float:
    """The minimum detectable difference of two pass rates, before anything is sampled.

    The standard error is that of the mean over ``prompts`` of a paired difference whose two sides are shares of
    ``samples`` at the worst rate, 1/2, and whose truth varies between prompts with standard deviation ``spread``.
    NaN with fewer than two prompts.
    """
    variance = spread**2 + 2 * 0.25 / samples
    return float(minimum_detectable_effect(math.sqrt(variance / max(1, prompts)), prompts - 1))


def equivalence(difference: float, standard_error: float, units: int, margin: float) -> Equivalence:
    """TOST (Schuirmann 1987) of a paired difference against ``[-margin, margin]``, t-distributed.

    Raises:
        InputError: the margin is not positive.
    """
    if not margin > 0:
        raise InputError(f"equivalence margin: {margin} given, a positive number is needed")
    if units < 2 or not math.isfinite(standard_error) or not math.isfinite(difference):
        return Equivalence(margin, math.nan, math.nan)
    if standard_error == 0:
        low, high = float(difference <= -margin), float(difference >= margin)
    else:
        low = float(stats.t.sf((difference + margin) / standard_error, units - 1))
        high = float(stats.t.cdf((difference - margin) / standard_error, units - 1))
    return Equivalence(margin, max(low, high), low)


@dataclass(frozen=True, slots=True)
class VarianceSplit:
    """Variance of a prompt's mean of samples: ``between`` prompts plus ``within`` a prompt over ``samples``."""

    between: float
    within: float
    prompts: int
    samples: int

    def standard_error(self, prompts: int | None = None, samples: float | None = None) -> float:
        """Standard error of the score with this many prompts and samples a prompt (default: as measured)."""
        drawn = self.samples if samples is None else samples
        return math.sqrt((self.between + self.within / drawn) / (self.prompts if prompts is None else prompts))

    @property
    def within_share(self) -> float:
        """Share of the variance that more samples a prompt could remove, in [0, 1]; NaN without any variance."""
        total = self.between + self.within / self.samples
        return self.within / self.samples / total if total > 0 else math.nan

    @property
    def advice(self) -> str:
        """One sentence: would more prompts or more samples help?"""
        if math.isnan(self.within_share):
            return "No variance was seen: nothing to split."
        error, doubled = self.standard_error(), self.standard_error(samples=2 * self.samples)
        gain = 1.0 - doubled / error
        advice = "More samples a prompt would help" if self.within_share > 0.5 else "More prompts would help most"
        return (
            f"{advice}: doubling the samples shrinks the standard error by {gain:.0%}, doubling the prompts by 29%"
            f" (now {error:.4f})."
        )


def variance_split(outcomes: ArrayLike) -> VarianceSplit:
    """Between- and within-prompt variance of sample outcomes ``[p, n]`` (one-way random effects, unbiased).

    For a paired difference pass the differences of the two models' samples. ``between`` is cut at 0.

    Raises:
        InputError: fewer than two prompts or two samples.
    """
    values = np.asarray(outcomes, float)
    if values.ndim != 2 or min(values.shape) < 2:
        raise InputError("variance split: at least two prompts and two samples a prompt are needed")
    prompts, samples = values.shape
    within = float(values.var(axis=1, ddof=1).mean())
    between = float(values.mean(axis=1).var(ddof=1)) - within / samples
    return VarianceSplit(max(0.0, between), within, prompts, samples)
