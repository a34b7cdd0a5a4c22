"""From the value of a set to the credit of each of its samples.

The objective is ``E[f(y_1..y_k)]``: the expected worth of ``k`` samples of one prompt. From ``n >= k`` samples the
unbiased score-function estimate of its gradient is ``(1/n) sum_i (s_i - b_i) grad log q(y_i)`` with the credit

``s_i = k * (mean of f over the k-subsets with i  -  mean of f over the same subsets with i counting for nothing)``

and any ``b_i`` that does not depend on ``y_i``. The subtracted mean does not depend on ``y_i`` either, so ``s_i``
alone is unbiased. The quality gate is inside ``f``: an invalid sample takes a place in the set and adds nothing, so
its credit is 0.
"""

from __future__ import annotations

import functools
import itertools
import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from polychromic.core.errors import InputError, UnsoundObjectiveError
from polychromic.core.nouns import Distances, Evidence, Labels, SetFunction
from polychromic.diversity.subsets import miss, pass_at_k

SetSize = int | Literal["shapley"]
Vector = NDArray[np.float64]

MAX_SUBSETS = 2000
"""A set function below ``k = n`` is evaluated on every subset; more subsets than this are refused."""


@dataclass(frozen=True)
class Credit:
    """What a set of ``n`` samples says about each of them.

    ``values`` (float64, [n]) are the credits ``s_i``. ``reference`` (float64, [n]) is the leave-one-out estimate of
    ``E[s_i]`` made from the other samples only, so that subtracting any function of it keeps the gradient unbiased.
    ``value`` is the unbiased estimate of ``E[f]``. ``similarity`` is ``C`` of the junk threshold ``2 * lambda_eff * C
    > 1``: the expected similarity of two samples for distances; for labels half the mean shortfall of credit, which
    enters the threshold the same way; NaN for set functions and where there is no pair.
    """

    values: Vector
    reference: Vector
    value: float
    similarity: float


def group_credit(evidence: Evidence, validity: Sequence[float], set_size: SetSize) -> Credit:
    """The credit of every sample of one set.

    ``set_size`` is ``k`` in [1, n], or ``"shapley"``: the mean over ``k = 1..n``. Labels are closed form at any ``k``
    (O(n) after counting), distances an order-2 statistic (O(n^2), the same gradient for every ``k >= 2``), set
    functions ``n + 1`` evaluations at ``k = n`` and an enumeration of the subsets below it.

    Raises:
        UnsoundObjectiveError: the set size cannot be had from this many samples or this evidence.
        InputError: evidence and validity do not fit together, or validity is not a number the evidence allows.
    """
    valid = np.asarray(validity, dtype=np.float64)
    n = valid.size
    if not np.all((valid >= 0.0) & (valid <= 1.0)):
        raise InputError("validity must lie in [0, 1]")
    if set_size != "shapley" and not 1 <= set_size <= n:
        raise UnsoundObjectiveError(f"set_size must lie between 1 and the number of generations ({n}), not {set_size}")
    if isinstance(evidence, Distances):
        return _distances_credit(evidence, valid, set_size)
    if not np.all((valid == 0.0) | (valid == 1.0)):
        raise InputError("labels and set functions need a validity of 0 or 1; only distances take values between")
    if isinstance(evidence, Labels):
        return _labels_credit(evidence, valid, set_size)
    return _set_function_credit(evidence, valid, set_size)


def _labels_credit(evidence: Labels, valid: Vector, set_size: SetSize) -> Credit:
    """``f`` = distinct valid answers / k: ``s_i = v_i C(n - c_i, k-1) / C(n-1, k-1)``; Shapley: ``v_i / c_i``."""
    n = valid.size
    if len(evidence.values) != n:
        raise InputError(f"{len(evidence.values)} labels for {n} validities")
    kept = [label if ok else None for label, ok in zip(evidence.values, valid, strict=True)]
    counts = Counter(label for label in kept if label is not None)
    count = [counts[label] if label is not None else 0 for label in kept]
    return Credit(
        values=np.array([_marginal(n, set_size, c) for c in count]),
        reference=_labels_reference(count, counts.values(), set_size),
        value=sum(_worth(n, set_size, c) for c in counts.values()),
        similarity=_labels_similarity(evidence, set_size),
    )


@functools.lru_cache(maxsize=65536)
def _worth(n: int, set_size: SetSize, c: int) -> float:
    """What an answer of ``c`` of the ``n`` samples adds to ``E[f]``: its chance to be drawn, over k.

    Shapley: the mean over ``k = 1..n`` is the harmonic number of ``c`` over ``n``.
    """
    if set_size == "shapley":
        return float(np.sum(1.0 / np.arange(1, c + 1))) / n
    return float(pass_at_k(n, c, set_size)) / set_size


@functools.lru_cache(maxsize=65536)
def _marginal(n: int, set_size: SetSize, c: int) -> float:
    """Credit of a sample whose answer ``c`` of the ``n`` samples share; 0 for ``c = 0``, no valid answer."""
    if c == 0:
        return 0.0
    return 1.0 / c if set_size == "shapley" else float(miss(n - 1, c - 1, set_size - 1))


def _labels_reference(count: Sequence[int], sizes: Iterable[int], set_size: SetSize) -> Vector:
    """The mean credit of the others among themselves, which is ``E[distinct of k] - E[distinct of k-1]`` of them."""
    others = len(count) - 1
    if not others:
        return np.zeros(1)
    drawn = set_size if set_size == "shapley" else min(set_size, others)

    def share(c: int) -> float:  # an answer shared by all n is never among n - 1 others
        return c * _marginal(others, drawn, c) if c <= others else 0.0

    total = sum(map(share, sizes))
    return np.array([total - share(c) + share(c - 1) if c else total for c in count]) / others


def _labels_similarity(evidence: Labels, set_size: SetSize) -> float:
    """Half of what the labelled samples lack to full credit, ungated; NaN with fewer than two."""
    counts = Counter(label for label in evidence.values if label is not None)
    n = counts.total()
    if n < 2:
        return math.nan
    drawn = set_size if set_size == "shapley" else min(set_size, n)
    return (1.0 - sum(c * _marginal(n, drawn, c) for c in counts.values()) / n) / 2.0


def _distances_credit(evidence: Distances, valid: Vector, set_size: SetSize) -> Credit:
    """``f`` = mean over pairs of ``v_i v_j d_ij``, so ``s_i`` is twice the mean gated distance to the others."""
    n = valid.size
    distance = np.asarray(evidence.rows, dtype=np.float64)
    if distance.shape != (n, n):
        raise InputError(f"distances of shape {distance.shape} for {n} validities")
    if not np.all(np.isfinite(distance)):
        raise InputError("distances must be finite numbers")
    if n < 2 or set_size == 1:
        raise UnsoundObjectiveError("a set of one sample has no pair, so a pairwise reward needs set_size >= 2")
    gated = distance * np.outer(valid, valid)
    np.fill_diagonal(gated, 0.0)
    row = gated.sum(axis=1)
    total = row.sum() / 2.0
    mean_of_others = (total - row) / math.comb(n - 1, 2) if n > 2 else np.zeros(n)
    # k = 1 has no pair and is worth 0, so the mean over k = 1..n is (n - 1) / n of the rest
    share = (n - 1) / n if set_size == "shapley" else 1.0
    pairs = math.comb(n, 2)
    ungated = (distance.sum() - np.trace(distance)) / 2.0
    return Credit(
        values=share * 2.0 * row / (n - 1),
        reference=share * 2.0 * mean_of_others,
        value=share * float(total) / pairs,
        similarity=1.0 - float(ungated) / pairs,
    )


def evaluations(n: int, set_size: SetSize) -> int:
    """How often the credit of ``n`` samples evaluates a general set function, at most."""
    if set_size == n:
        return n + 1
    sizes = range(1, n + 1) if set_size == "shapley" else (set_size,)
    return sum(math.comb(n, k) + math.comb(n, k - 1) for k in sizes)


def _set_function_credit(evidence: SetFunction, valid: Vector, set_size: SetSize) -> Credit:
    """Credit under a general set function: exact at ``k = n`` by leave-one-out, below by enumeration."""
    n = valid.size
    if evidence.size != n:
        raise InputError(f"a set function of {evidence.size} samples for {n} validities")
    if set_size == n:
        return _leave_one_out(evidence, valid)
    sizes = range(1, n + 1) if set_size == "shapley" else (set_size,)
    subsets = evaluations(n, set_size)
    if subsets > MAX_SUBSETS:
        raise UnsoundObjectiveError(
            f"set_size {set_size} of {n} generations takes {subsets} evaluations of a set function (of {MAX_SUBSETS}): "
            f"use set_size {n}, fewer generations, or a reward of labels or pairs"
        )
    credits_ = [_leave_one_out(evidence, valid) if k == n else _enumerated(evidence, valid, k) for k in sizes]
    return Credit(
        values=np.mean([credit.values for credit in credits_], axis=0),
        reference=np.mean([credit.reference for credit in credits_], axis=0),
        value=float(np.mean([credit.value for credit in credits_])),
        similarity=math.nan,
    )


def _leave_one_out(evidence: SetFunction, valid: Vector) -> Credit:
    """``s_i = n (f(S) - f(S without i))`` in ``n + 1`` evaluations or fewer; the reference: the others' mean share."""
    n = valid.size
    members = np.flatnonzero(valid).tolist()
    whole = evidence.value(members, n)
    rest = np.full(n, whole)
    for i in members:
        rest[i] = evidence.value([j for j in members if j != i], n)
    reference = rest * n / (n - 1) if n > 1 else np.zeros(n)
    return Credit(n * (whole - rest), reference, float(whole), math.nan)


def _enumerated(evidence: SetFunction, valid: Vector, k: int) -> Credit:
    """Means over all subsets of ``k`` and ``k - 1`` of the samples, each evaluated once."""
    n = valid.size
    with_i, without_i, smaller = np.zeros(n), np.zeros(n), np.zeros(n)
    known: dict[tuple[int, ...], float] = {}
    for chosen, inside, outside in ((k, with_i, without_i), (k - 1, None, smaller)):
        for subset in itertools.combinations(range(n), chosen):
            members = tuple(i for i in subset if valid[i])
            if members not in known:
                known[members] = float(evidence.value(members, k))
            held = np.zeros(n, dtype=bool)
            held[list(subset)] = True
            outside[~held] += known[members]
            if inside is not None:
                inside[held] += known[members]
    value = float(with_i.sum() / k) / math.comb(n, k)
    floor = smaller / math.comb(n - 1, k - 1)
    return Credit(
        values=k * (with_i / math.comb(n - 1, k - 1) - floor),
        reference=k * (without_i / math.comb(n - 1, k) - floor),
        value=value,
        similarity=math.nan,
    )
