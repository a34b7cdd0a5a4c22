"""Counting labels: answers, clusters, classes. A label of None belongs to a sample that has no answer."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.stats import binom

from polychromic.diversity.subsets import expected_distinct


def label_counts(labels: Sequence[Hashable | None]) -> NDArray[np.int64]:
    """How many samples share each label, in order of first appearance; samples without a label are left out."""
    counts = Counter(label for label in labels if label is not None)
    return np.fromiter(counts.values(), dtype=np.int64, count=len(counts))


def distinct_at_k(labels: Sequence[Hashable | None], k: int) -> float:
    """Expected number of different labels among ``k`` of the samples, in [0, k]; NaN where ``k`` exceeds them."""
    return expected_distinct(label_counts(labels), k, len(labels))


def collision(labels: Sequence[Hashable | None]) -> float:
    """Chance in [0, 1] that two different samples carry the same label; NaN for fewer than two labelled samples."""
    counts = label_counts(labels)
    n = int(counts.sum())
    return float(np.sum(counts * (counts - 1)) / (n * (n - 1))) if n > 1 else float("nan")


def majority_at_k(labels: Sequence[Hashable | None], right: Sequence[bool], k: int) -> float:
    """Chance in [0, 1] that the most frequent label of ``k`` samples is a right one; NaN where ``k`` exceeds them.

    Exact over all subsets: samples without a label do not vote, ties are broken by an even draw, and a subset without
    any label is wrong. A label is right when any sample that carries it is.
    """
    n = len(labels)
    if k > n or k < 1:
        return float("nan")
    counts = Counter(label for label in labels if label is not None)
    good = {label for label, is_right in zip(labels, right, strict=True) if is_right and label is not None}
    # k of n without replacement are n coins of probability k / n, given that k of them fall heads: no huge binomials
    coins = {size: binom.pmf(np.arange(size + 1), size, k / n) for size in {*counts.values(), n - sum(counts.values())}}
    wins = 0.0
    for size, winners in Counter(counts[label] for label in good).items():
        rivals = Counter(counts.values())
        rivals[size] -= 1
        silent = coins[n - sum(counts.values())]
        wins += winners * sum(
            coins[size][votes] * _wins(votes, k - votes, silent, [coins[m] for m in rivals.elements()])
            for votes in range(1, min(size, k) + 1)
        )
    return float(min(1.0, wins / binom.pmf(k, n, k / n)))


def _wins(votes: int, need: int, silent: NDArray[np.float64], rivals: list[NDArray[np.float64]]) -> float:
    """Chance that the others draw ``need`` samples and no rival over ``votes``; a tie among t+1 labels counts 1/(t+1).

    The table holds the chance of each number of ties (rows) and of samples drawn (columns), one rival after the other.
    """
    able = sum(len(rival) > votes for rival in rivals)
    table = np.zeros((min(able, need // votes) + 1, need + 1))
    start = silent[: need + 1]
    table[0, : len(start)] = start
    for rival in rivals:
        after = np.zeros_like(table)
        for drawn, chance in enumerate(rival[: min(votes, need + 1)]):
            after[:, drawn:] += chance * table[:, : need + 1 - drawn]
        if len(rival) > votes and votes <= need:
            after[1:, votes:] += rival[votes] * table[:-1, : need + 1 - votes]
        table = after
    return float(np.sum(table[:, need] / np.arange(1, len(table) + 1)))
