"""Expectations over random k-subsets of n samples: the hypergeometric kernel and everything that is built on it.

One number, ``miss(n, c, k) = C(n-c, k) / C(n, k)``, is the chance that ``k`` of ``n`` samples, drawn without
replacement, hold none of ``c`` marked ones. pass@k, distinct-and-correct@k, best-of-k, rarefied Distinct-n and the
credit of the objective are sums of it. All functions take scalars or arrays (broadcast) and give NaN where ``k > n``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from polychromic.core.errors import InputError


def log_miss(n: ArrayLike, c: ArrayLike, k: ArrayLike) -> Any:
    """Natural logarithm of ``miss``; ``-inf`` where the subset must hold a marked sample.

    A product of ``min(c, k)`` factors, term by term: under 1e-12 relative error (checked against exact fractions for n
    up to 10**6).
    """
    total, marked, size = np.broadcast_arrays(*(np.asarray(x, dtype=np.float64) for x in (n, c, k)))
    if np.any(marked < 0) or np.any(marked > total) or np.any(size < 0):
        raise InputError("the kernel needs 0 <= c <= n and k >= 0")
    few, many = np.minimum(marked, size), np.maximum(marked, size)
    out = np.full(total.shape, -np.inf)
    possible = marked + size <= total
    out[possible] = _log_product(total[possible], few[possible], many[possible])
    out[size > total] = np.nan
    return out[()]


def _log_product(n: NDArray[np.float64], few: NDArray[np.float64], many: NDArray[np.float64]) -> NDArray[np.float64]:
    """Sum over i < few of log(1 - many / (n - i))."""
    out = np.zeros(n.shape)
    for i in range(int(few.max(initial=0))):
        live = few > i
        out[live] += _log_share_left(n[live] - i, many[live])
    return out


def _log_share_left(n: NDArray[np.float64], taken: NDArray[np.float64]) -> NDArray[np.float64]:
    """Logarithm of (1 - taken / n) to full precision at both ends."""
    small = 2 * taken < n
    return np.where(small, np.log1p(-np.where(small, taken, 0.0) / n), np.log(np.where(small, n, n - taken) / n))


def miss(n: ArrayLike, c: ArrayLike, k: ArrayLike) -> Any:
    """Chance in [0, 1] that ``k`` of ``n`` samples hold none of the ``c`` marked: ``C(n-c, k) / C(n, k)``."""
    return np.exp(log_miss(n, c, k))


def pass_at_k(n: ArrayLike, c: ArrayLike, k: ArrayLike) -> Any:
    """Chance in [0, 1] that ``k`` of ``n`` samples hold at least one of the ``c`` right ones (2107.03374)."""
    return -np.expm1(log_miss(n, c, k))


def pass_hat_k(n: ArrayLike, c: ArrayLike, k: ArrayLike) -> Any:
    """Chance in [0, 1] that all ``k`` of ``n`` samples are right: ``C(c, k) / C(n, k)`` (pass^k, 2406.12045)."""
    return miss(n, np.asarray(n) - np.asarray(c), k)


def g_pass_at_k(n: int, c: int, k: int, tau: float) -> float:
    """Chance in [0, 1] that ``ceil(tau k)`` or more of ``k`` samples are right (G-Pass@k, 2412.13147); 0 < tau <= 1."""
    if not 0.0 < tau <= 1.0:
        raise InputError(f"tau must lie in (0, 1], not {tau}")
    if k > n:
        return float("nan")
    needed = int(np.ceil(tau * k - 1e-9))
    hits = np.arange(needed, min(c, k) + 1)
    hits = hits[k - hits <= n - c]
    if not hits.size:
        return 0.0
    log_mass = _log_choose(c, hits) + _log_choose(n - c, k - hits) - _log_choose(n, np.asarray(k))
    return float(min(1.0, np.exp(log_mass).sum()))


def _log_choose(n: int, k: NDArray[Any]) -> NDArray[np.float64]:
    """Logarithm of C(n, k), through the kernel: C(n, k) = 1 / miss(n, n - k, k)."""
    return np.asarray(-log_miss(n, n - k, k), dtype=np.float64)


def expected_distinct(counts: ArrayLike, k: int, n: int | None = None) -> float:
    """Expected number of different labels among ``k`` samples, in [0, k]; NaN where ``k > n``.

    ``counts[a]`` samples carry label ``a``; ``n`` (default: their sum) also counts the samples without a label.
    Formula: ``sum_a 1 - C(n - n_a, k) / C(n, k)``.
    """
    sizes = np.asarray(counts, dtype=np.int64)
    total = int(sizes.sum()) if n is None else n
    if total < int(sizes.sum()):
        raise InputError(f"{int(sizes.sum())} labelled samples cannot come from {total}")
    if k > total:
        return float("nan")
    values, multiplicity = np.unique(sizes, return_counts=True)
    return float(np.sum(multiplicity * pass_at_k(total, values, k)))


def best_of_k(scores: Sequence[float], qualities: Sequence[float], k: int) -> float:
    """Expected quality of the sample a scorer prefers among ``k`` of the ``n`` given; NaN where ``k > n``.

    Sorted by falling score, sample ``i`` (from 1) is the pick of ``C(n-i, k-1)`` of the ``C(n, k)`` subsets; equal
    scores share their weight. Raises InputError when a score is NaN or the lengths differ.
    """
    n = len(scores)
    if len(qualities) != n:
        raise InputError(f"{n} scores for {len(qualities)} qualities")
    score = np.asarray(scores, dtype=np.float64)
    if np.isnan(score).any():
        raise InputError("a score is NaN, so the samples cannot be ranked")
    if k > n or k < 1:
        return float("nan")
    weights = (k / n) * miss(n - 1, np.arange(n), k - 1)
    order = np.argsort(-score, kind="stable")
    _, group = np.unique(-score[order], return_inverse=True)
    sizes = np.bincount(group)
    quality = np.asarray(qualities, dtype=np.float64)[order]
    mean_quality = np.bincount(group, weights=quality) / sizes
    return float(np.sum(np.bincount(group, weights=weights) * mean_quality))


def expected_draws(n: ArrayLike, c: ArrayLike) -> Any:
    """Expected draws without replacement until the first right sample: ``(n+1) / (c+1)``, ``n + 1`` when none is."""
    return (np.asarray(n, dtype=np.float64) + 1.0) / (np.asarray(c, dtype=np.float64) + 1.0)


def collapse_point(curve: Sequence[float], bound: float) -> int | None:
    """The number of samples after which one more adds less than ``bound``: ``curve[i]`` is the score at k = i + 1.

    None when every further sample of the curve still pays.
    """
    gains = np.diff(np.asarray(curve, dtype=np.float64))
    stalled = np.flatnonzero(gains < bound)
    return int(stalled[0]) + 1 if stalled.size else None


def diversity_efficiency(diversity_gain: float, quality_loss: float) -> float:
    """Diversity gained per unit of quality given up; infinite when it was free, NaN when nothing was gained or lost."""
    if quality_loss > 0:
        return diversity_gain / quality_loss
    return float("inf") if diversity_gain > 0 else float("nan")
