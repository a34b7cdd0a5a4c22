"""Resampling of per-prompt statistics: bootstrap draws, percentile and BCa intervals, paired permutation tests.

A score is ``sum(numerator) / sum(denominator)`` over prompts, so a resample is a vector of weights and every score of
it two dot products: one matrix product serves all metrics and models at once, in chunks of bounded memory. Texts are
never resampled. Arrays are ``[p, m]``: p prompts, m scores; a prompt that does not count for a score is 0 in both.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from polychromic.core.errors import InputError
from polychromic.core.seeds import child_seed

Array = NDArray[np.float64]
CHUNK_CELLS = 4_000_000  # weights held at once: 32 MB
TIE = 1e-12  # two differences closer than this, relative to their size, are the same difference


@dataclass(frozen=True, slots=True)
class Plan:
    """How to resample: how often, from which seed, for which two-sided confidence, with which interval."""

    resamples: int = 10_000
    seed: int = 0
    confidence: float = 0.95
    method: str = "bca"

    def __post_init__(self) -> None:
        if self.resamples < 1:
            raise InputError(f"resamples: {self.resamples} given, at least 1 is needed")
        if not 0.0 < self.confidence < 1.0:
            raise InputError(f"confidence: {self.confidence} given, a number between 0 and 1 is allowed")
        if self.method not in ("bca", "percentile"):
            raise InputError(f"interval method: {self.method!r} given, 'bca' or 'percentile' is allowed")


def ratio(numerator: Any, denominator: Any) -> Array:
    """``numerator / denominator``, NaN where the denominator is 0."""
    top, bottom = np.asarray(numerator, float), np.asarray(denominator, float)
    return np.divide(top, bottom, out=np.full(np.broadcast(top, bottom).shape, np.nan), where=bottom != 0)


def scores(numerator: Array, denominator: Array) -> Array:
    """The scores ``[m]`` of statistics ``[p, m]``."""
    return ratio(numerator.sum(axis=0), denominator.sum(axis=0))


def bootstrap_weights(units: int, resamples: int, seed: int) -> Iterator[Array]:
    """Chunks ``[r, units]`` of how often each unit was drawn; every row sums to ``units``."""
    generator = np.random.default_rng(child_seed(seed, "bootstrap", units))
    rows = max(1, CHUNK_CELLS // max(1, units))
    for start in range(0, resamples, rows):
        count = min(rows, resamples - start)
        drawn = generator.integers(0, units, size=(count, units), dtype=np.int64)
        drawn += np.arange(count)[:, None] * units
        yield np.bincount(drawn.ravel(), minlength=count * units).reshape(count, units).astype(np.float64)


def bootstrap(numerator: Array, denominator: Array, plan: Plan) -> Array:
    """Scores of every resample, ``[r, m]``; columns share their resamples, so differences of columns are paired.

    NaN for a single prompt: drawn again and again it would look like certainty.
    """
    if len(numerator) < 2:
        return np.full((plan.resamples, numerator.shape[1]), np.nan)
    parts = [
        ratio(weights @ numerator, weights @ denominator)
        for weights in bootstrap_weights(len(numerator), plan.resamples, plan.seed)
    ]
    return np.concatenate(parts)


def jackknife(numerator: Array, denominator: Array) -> Array:
    """Scores without each prompt in turn, ``[p, m]``."""
    return ratio(numerator.sum(axis=0) - numerator, denominator.sum(axis=0) - denominator)


def intervals(draws: Array, estimates: Array, left_out: Array | None, plan: Plan) -> Array:
    """Confidence intervals ``[m, 2]`` from draws ``[r, m]``; BCa (Efron 1987) needs jackknife values ``[p, m]``.

    A column with a draw that is not a number, or with one prompt only, has no interval: NaN.
    """
    tail = (1.0 - plan.confidence) / 2.0
    levels = np.tile([tail, 1.0 - tail], (draws.shape[1], 1))
    if plan.method == "bca" and left_out is not None:
        levels = _bca_levels(draws, estimates, left_out, levels)
    found = _column_quantiles(np.sort(draws, axis=0), levels)
    found[~np.isfinite(estimates) | ~np.isfinite(draws).all(axis=0)] = np.nan
    return found


def _bca_levels(draws: Array, estimates: Array, left_out: Array, levels: Array) -> Array:
    slack = TIE * np.maximum(1.0, np.abs(estimates))
    below = (draws < estimates - slack).mean(axis=0) + 0.5 * (np.abs(draws - estimates) <= slack).mean(axis=0)
    bias = stats.norm.ppf(below)
    centred = left_out.mean(axis=0) - left_out
    spread = (centred**2).sum(axis=0)
    acceleration = np.divide((centred**3).sum(axis=0), 6.0 * spread**1.5, out=np.zeros_like(spread), where=spread > 0)
    with np.errstate(invalid="ignore", divide="ignore"):  # all draws on one side, or none: the plain levels are kept
        moved = bias[:, None] + stats.norm.ppf(levels)
        adjusted: Array = stats.norm.cdf(bias[:, None] + moved / (1.0 - acceleration[:, None] * moved))
    return np.where(np.isfinite(adjusted) & np.isfinite(bias)[:, None], adjusted, levels)


def _column_quantiles(ordered: Array, levels: Array) -> Array:
    position = np.clip(levels, 0.0, 1.0) * (len(ordered) - 1)
    low = np.floor(position).astype(int)
    high = np.minimum(low + 1, len(ordered) - 1)
    column = np.arange(ordered.shape[1])[:, None]
    share = position - low
    with np.errstate(invalid="ignore"):
        return np.asarray(ordered[low, column] * (1.0 - share) + ordered[high, column] * share)


@dataclass(frozen=True, slots=True)
class Pairs:
    """Statistics of m pairs (a, b) over the same p prompts: four arrays ``[p, m]``."""

    numerator_a: Array
    denominator_a: Array
    numerator_b: Array
    denominator_b: Array

    def differences(self) -> Array:
        """Score of b minus score of a, ``[m]``."""
        return scores(self.numerator_b, self.denominator_b) - scores(self.numerator_a, self.denominator_a)


def paired_bootstrap(pairs: Pairs, plan: Plan) -> tuple[Array, Array]:
    """Draws ``[r, m]`` and intervals ``[m, 2]`` of score b minus score a, prompts resampled jointly."""
    a = (pairs.numerator_a, pairs.denominator_a)
    b = (pairs.numerator_b, pairs.denominator_b)
    both = bootstrap(np.hstack([b[0], a[0]]), np.hstack([b[1], a[1]]), plan)
    half = both.shape[1] // 2
    draws = both[:, :half] - both[:, half:]
    return draws, intervals(draws, pairs.differences(), jackknife(*b) - jackknife(*a), plan)


def permutation_p(pairs: Pairs, plan: Plan) -> Array:
    """Two-sided p-values ``[m]`` of the paired permutation test: a and b swapped at random within each prompt.

    ``p = (1 + #{|d*| >= |d|}) / (1 + resamples)``, which is never 0 and never too small (Phipson and Smyth 2010).
    """
    observed = np.abs(pairs.differences())
    slack = TIE * np.maximum(1.0, observed)
    generator = np.random.default_rng(child_seed(plan.seed, "permutation", len(pairs.numerator_a)))
    top, bottom = pairs.numerator_b - pairs.numerator_a, pairs.denominator_b - pairs.denominator_a
    totals = [array.sum(axis=0) for array in (pairs.numerator_a, pairs.denominator_a)]
    totals += [array.sum(axis=0) for array in (pairs.numerator_b, pairs.denominator_b)]
    units = len(top)
    rows = max(1, CHUNK_CELLS // max(1, units))
    extreme = np.zeros(top.shape[1])
    for start in range(0, plan.resamples, rows):
        swapped = generator.integers(0, 2, size=(min(rows, plan.resamples - start), units), dtype=np.int8).astype(float)
        moved_top, moved_bottom = swapped @ top, swapped @ bottom
        one = ratio(totals[0] + moved_top, totals[1] + moved_bottom)
        other = ratio(totals[2] - moved_top, totals[3] - moved_bottom)
        extreme += (np.abs(other - one) >= observed - slack).sum(axis=0)
    found = (1.0 + extreme) / (1.0 + plan.resamples)
    return np.where(np.isfinite(observed), found, np.nan)
