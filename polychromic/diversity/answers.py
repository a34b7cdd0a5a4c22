"""Counting labels: answers, clusters, classes. A label of None belongs to a sample that has no answer."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Sequence
from fractions import Fraction
from math import comb

import numpy as np
from numpy.typing import NDArray

from polychromic.diversity.subsets import expected_distinct


def label_counts(labels: Sequence[Hashable | None]) -> NDArray[np.int64]:
    """How many samples share each label, in order of first appearance; samples without a label are left out."""
    counts = Counter(label for label in labels if label is not None)
    return np.fromiter(counts.values(), dtype=np.int64, count=len(counts))


def share_counts(labels: Sequence[Hashable | None]) -> NDArray[np.int64]:
    """For each sample, how many of the samples (itself included) carry its label; 0 where it has none."""
    counts = Counter(label for label in labels if label is not None)
    return np.array([0 if label is None else counts[label] for label in labels], dtype=np.int64)


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
    silent = n - sum(counts.values())
    wins = Fraction(0)
    for size, winners in Counter(counts[label] for label in good).items():
        rivals = Counter(counts.values())
        rivals[size] -= 1
        wins += winners * _winning_subsets(size, rivals, silent, k)
    return float(wins / comb(n, k))


def _winning_subsets(size: int, rivals: Counter[int], silent: int, k: int) -> Fraction:
    """Subsets of ``k`` in which a label of ``size`` samples comes first, a tie among t+1 labels counting 1/(t+1).

    Generating function: when the label has j votes, a rival of m samples contributes
    ``sum_{i<j} C(m,i) z^i + x C(m,j) z^j``; powers of z count samples, powers of x ties.
    """
    total = Fraction(0)
    for votes in range(1, min(size, k) + 1):
        need = k - votes
        table = {0: [comb(silent, i) for i in range(need + 1)]}
        for rival, times in rivals.items():
            below = [comb(rival, i) if i < votes else 0 for i in range(need + 1)]
            for _ in range(times):
                table = _with_rival(table, below, votes, comb(rival, votes))
        ways = sum((Fraction(row[need], ties + 1) for ties, row in table.items()), Fraction(0))
        total += comb(size, votes) * ways
    return total


def _with_rival(table: dict[int, list[int]], below: list[int], votes: int, level: int) -> dict[int, list[int]]:
    """The table after one more rival: it stays below (``below``) or draws level (``level`` ways, ``votes`` samples)."""
    width = len(below)
    terms = [(i, ways) for i, ways in enumerate(below) if ways]
    out: dict[int, list[int]] = {}
    for ties, row in table.items():
        stay = out.setdefault(ties, [0] * width)
        for i, ways in terms:
            for j in range(width - i):
                stay[i + j] += ways * row[j]
        if level and votes < width:
            tied = out.setdefault(ties + 1, [0] * width)
            for j in range(width - votes):
                tied[votes + j] += level * row[j]
    return out
