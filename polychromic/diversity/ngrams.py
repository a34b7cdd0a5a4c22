"""Lexical diversity: n-gram counts of tokenised texts, and the numbers made of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Sequence

import numpy as np
from jaxtyping import Float
from numpy.typing import ArrayLike

from polychromic.core.errors import InputError
from polychromic.diversity.subsets import expected_distinct

Tokens = Sequence[Hashable]


def ngrams(tokens: Tokens, n: int) -> list[tuple[Hashable, ...]]:
    """All runs of ``n`` tokens, in order; empty when the text is shorter. Raises InputError for n < 1."""
    if n < 1:
        raise InputError(f"the order of an n-gram must be at least 1, not {n}")
    return list(zip(*(tokens[i:] for i in range(n)), strict=False))


def ngram_counts(texts: Sequence[Tokens], n: int) -> Counter[tuple[Hashable, ...]]:
    """How often each n-gram occurs in all the tokenised texts together; none runs across two texts."""
    counts: Counter[tuple[Hashable, ...]] = Counter()
    for tokens in texts:
        counts.update(ngrams(tokens, n))
    return counts


def distinct(counts: ArrayLike) -> float:
    """Distinct-n in (0, 1]: different n-grams over all n-grams, pooled (1510.03055); NaN without n-grams.

    Falls with length and with the number of samples: only equal k and like lengths may be compared.
    """
    sizes = np.asarray(counts)
    total = int(sizes.sum())
    return len(sizes) / total if total else float("nan")


def rarefied_distinct(counts: ArrayLike, m: int) -> float:
    """Expected Distinct-n of ``m`` n-grams drawn without replacement, in (0, 1]; NaN when there are fewer.

    ``(1/m) sum_g [1 - C(C - n_g, m) / C(C, m)]``: flat in the length of the texts, unlike Distinct-n.
    """
    if m < 1:
        raise InputError(f"m must be at least 1, not {m}")
    return expected_distinct(counts, m) / m


def expectation_adjusted_distinct(counts: ArrayLike, vocabulary: int) -> float:
    """EAD, at least 0: ``N / (V (1 - ((V-1)/V)^C))`` for N different of C n-grams (2202.13587); NaN without n-grams."""
    if vocabulary < 2:
        raise InputError(f"the vocabulary must have at least 2 entries, not {vocabulary}")
    sizes = np.asarray(counts)
    total = int(sizes.sum())
    if not total:
        return float("nan")
    expected = -vocabulary * np.expm1(total * np.log1p(-1.0 / vocabulary))
    return float(len(sizes) / expected)


def entropy(counts: ArrayLike) -> float:
    """Shannon entropy of the n-gram frequencies in nats, in [0, log N]; NaN without n-grams."""
    sizes = np.asarray(counts, dtype=np.float64)
    if not sizes.sum():
        return float("nan")
    shares = sizes / sizes.sum()
    return float(max(0.0, -np.sum(shares * np.log(shares))))


def jaccard_distances(texts: Sequence[Tokens], n: int) -> Float[np.ndarray, "s s"]:
    """Lexical distances of all pairs in [0, 1]: one minus the shared share of their n-grams of orders 1 to ``n``.

    Symmetric with a zero diagonal; two empty texts are the same, an empty and another one are at distance 1.
    """
    sets = [{gram for order in range(1, n + 1) for gram in ngrams(tokens, order)} for tokens in texts]
    out = np.zeros((len(sets), len(sets)))
    for i, one in enumerate(sets):
        for j in range(i):
            union = len(one | sets[j])
            out[i, j] = out[j, i] = 1.0 - len(one & sets[j]) / union if union else 0.0
    return out
