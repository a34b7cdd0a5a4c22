"""Self-BLEU of a set of texts, exact and linear in its tokens: each text against all the others (1802.01886).

The sentence-BLEU of text i against the other N-1 texts needs, for each n-gram, the largest count in any *other* text.
Two numbers for each n-gram give it without a pairwise loop: the largest count in any text, and the second largest,
which takes its place when text i alone attains the largest. The result equals nltk's ``sentence_bleu`` to the last
bit, for each of its smoothing methods 0 to 7: the counts are integers, and the floating-point steps go in its order.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Sequence
from fractions import Fraction
from itertools import chain

import numpy as np
from jaxtyping import Float, Int
from numpy.typing import NDArray

from polychromic.core.errors import InputError
from polychromic.diversity.ngrams import Tokens

EPSILON, ALPHA, K = 0.1, 5, 5
"""The constants of nltk's SmoothingFunction: methods 1, 6 and 4."""

Precision = float | Fraction


def self_bleu(texts: Sequence[Tokens], orders: Sequence[int] = (4,), smoothing: str = "method1") -> dict[int, float]:
    """Mean over the texts of sentence-BLEU against the others, in [0, 1], for each of ``orders``; high = alike.

    BLEU-n has uniform weights over the orders 1 to n. NaN for fewer than two texts, and (method6 only, which is not
    defined without a common 3-gram) when a text has no score. Raises InputError for an unknown method or order.
    """
    scores = self_bleu_scores(texts, orders, smoothing)
    return {n: math.fsum(values) / len(values) if len(values) > 1 else math.nan for n, values in scores.items()}


def self_bleu_scores(
    texts: Sequence[Tokens], orders: Sequence[int] = (4,), smoothing: str = "method1"
) -> dict[int, list[float]]:
    """Each text's sentence-BLEU against all the others, in [0, 1], for each of ``orders``; see ``self_bleu``."""
    smooth = _method(smoothing, orders)
    if len(texts) < 2:
        return {n: [math.nan] * len(texts) for n in orders}
    depth = max(*orders, 5) if smoothing in ("method5", "method7") else max(orders)
    lengths = np.fromiter(map(len, texts), dtype=np.int64, count=len(texts))
    matches = clipped_matches(texts, depth)
    rows = np.column_stack([lengths, closest_other_length(lengths), matches.T])
    unique, inverse = np.unique(rows, axis=0, return_inverse=True)
    found = inverse.reshape(-1).tolist()
    out = {}
    for n in orders:
        values = [_bleu(row, n, smooth) for row in unique.tolist()]
        out[n] = [values[i] for i in found]
    return out


def clipped_matches(texts: Sequence[Tokens], depth: int) -> Int[np.ndarray, "depth n"]:
    """For each order 1 to ``depth`` and text: how many of its n-grams another text has too, clipped as in BLEU."""
    flat = list(chain.from_iterable(texts))
    table = {token: i for i, token in enumerate(dict.fromkeys(flat))}
    grams = np.fromiter(map(table.__getitem__, flat), dtype=np.int64, count=len(flat))
    lengths = np.fromiter(map(len, texts), dtype=np.int64, count=len(texts))
    owner = np.repeat(np.arange(len(texts)), lengths)
    place = np.arange(len(flat))
    out = np.zeros((depth, len(texts)), dtype=np.int64)
    sorting = _sorting(grams)
    for order in range(depth):
        if not len(grams):
            break
        out[order], grams, shared = _leave_one_out(grams, owner, sorting, len(texts))
        grams, owner, place = grams[shared], owner[shared], place[shared]
        # An n-gram that one text alone has is part of no longer match, so only the shared ones are made longer.
        follows = np.flatnonzero((np.diff(place) == 1) & (owner[1:] == owner[:-1]))
        first, second = grams[follows], grams[follows + 1]
        owner, place = owner[follows], place[follows]
        sorting = _sorting(second, first)
        grams = first * (int(grams.max(initial=0)) + 1) + second
    return out


def _sorting(*keys: NDArray[np.int64]) -> NDArray[np.int64]:
    """The stable order that sorts by the last key, then by the one before.

    Packed with its place into one integer a key is sorted by value, some ten times faster than by ``argsort``.
    """
    order = np.arange(len(keys[0]))
    bits = len(order).bit_length()
    for key in keys:
        packed = key[order] << bits
        packed |= np.arange(len(order))
        packed.sort()
        packed &= (1 << bits) - 1
        order = order[packed]
    return order


def _leave_one_out(
    grams: NDArray[np.int64], owner: NDArray[np.int64], order: NDArray[np.int64], n: int
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.bool_]]:
    """Each text's clipped matches; the n-grams renumbered 0, 1, ...; which of them two texts or more have.

    ``order`` sorts the n-grams and is stable; ``owner`` is sorted, so the occurrences of one n-gram in one text come
    side by side.
    """
    gram, text = grams[order], owner[order]
    new_gram = np.empty(len(gram), dtype=bool)
    new_gram[0] = True
    np.not_equal(gram[1:], gram[:-1], out=new_gram[1:])
    new_pair = new_gram.copy()
    new_pair[1:] |= text[1:] != text[:-1]
    pair_start = np.flatnonzero(new_pair)
    count = np.diff(pair_start, append=len(gram))
    first_pair = np.flatnonzero(new_gram[pair_start])
    texts_having = np.diff(first_pair, append=len(pair_start))
    largest = np.maximum.reduceat(count, first_pair)
    is_largest = count == np.repeat(largest, texts_having)
    alone = np.add.reduceat(is_largest, first_pair, dtype=np.int64) == 1
    second = np.maximum.reduceat(np.where(is_largest, 0, count), first_pair)
    clipped = np.minimum(count, np.repeat(largest, texts_having))
    loses = is_largest & np.repeat(alone, texts_having)
    clipped[loses] = np.repeat(second, texts_having)[loses]
    matches = np.bincount(text[pair_start], weights=clipped, minlength=n).astype(np.int64)
    number = np.empty_like(grams)
    number[order] = np.cumsum(new_gram) - 1
    return matches, number, (texts_having > 1)[number]


def closest_other_length(lengths: Int[np.ndarray, " n"]) -> Int[np.ndarray, " n"]:
    """For each text the length nearest to its own among the others', the shorter of two equally near; needs n >= 2."""
    values, inverse, times = np.unique(lengths, return_inverse=True, return_counts=True)
    wide = values.astype(np.float64)
    below = wide - np.concatenate([[-np.inf], wide[:-1]])
    above = np.concatenate([wide[1:], [np.inf]]) - wide
    nearest = np.where(below <= above, wide - below, wide + above)
    closest: Float[np.ndarray, " n"] = np.where(times > 1, wide, nearest)[inverse.reshape(-1)]
    return closest.astype(np.int64)


Smoothing = Callable[[list[int], list[int], int, int], list[Precision] | None]


def _bleu(row: list[int], order: int, smooth: Smoothing) -> float:
    """BLEU of one text from (its length, the closest other length, its matches of orders 1, 2, ...)."""
    length, reference, *matches = row
    if matches[0] == 0:
        return 0.0
    possible = [max(1, length - n) for n in range(len(matches))]
    precisions = smooth(matches, possible, order, length)
    if precisions is None:
        return math.nan
    brevity = 1.0 if length > reference else math.exp(1 - reference / length)
    weight = 1 / order
    return brevity * math.exp(math.fsum(weight * math.log(p) for p in precisions if p > 0))


def _method(name: str, orders: Sequence[int]) -> Smoothing:
    if name not in SMOOTHING:
        raise InputError(f"unknown smoothing {name!r}; there are {', '.join(SMOOTHING)}")
    least = 3 if name == "method6" else 1
    if not orders or min(orders) < least:
        raise InputError(f"self-BLEU with {name} needs orders of at least {least}, not {tuple(orders)}")
    return SMOOTHING[name]


def _fractions(matches: list[int], possible: list[int], order: int) -> list[Precision]:
    return [Fraction(m, d) for m, d in zip(matches[:order], possible, strict=False)]


def _none(matches: list[int], possible: list[int], order: int, length: int) -> list[Precision]:
    """method0: no smoothing; a missing order makes the score (all but) zero."""
    return [m / d if m else sys.float_info.min for m, d in zip(matches[:order], possible, strict=False)]


def _epsilon(matches: list[int], possible: list[int], order: int, length: int) -> list[Precision]:
    """method1: a missing order counts as epsilon matches."""
    return [(m or EPSILON) / d for m, d in zip(matches[:order], possible, strict=False)]


def _plus_one(matches: list[int], possible: list[int], order: int, length: int) -> list[Precision]:
    """method2: one match more of one n-gram more, from order 2."""
    higher = zip(matches[1:order], possible[1:], strict=False)
    return [matches[0] / possible[0], *((m + 1) / (d + 1) for m, d in higher)]


def _geometric(matches: list[int], possible: list[int], order: int, length: int) -> list[Precision]:
    """method3: the first missing order counts a half, the next a quarter, ... (NIST)."""
    out: list[Precision] = []
    missing = 0
    for m, d in zip(matches[:order], possible, strict=False):
        missing += m == 0
        out.append(m / d if m else 1 / (2**missing * d))
    return out


def _by_length(matches: list[int], possible: list[int], order: int, length: int) -> list[Precision]:
    """method4: as method3, scaled by the logarithm of the length; texts of one token stay as they are."""
    out = _fractions(matches, possible, order)
    missing = 0
    for i in range(order):
        if matches[i] == 0 and length > 1:
            missing += 1
            out[i] = 1 / (2**missing * K / math.log(length)) / possible[i]
    return out


def _neighbours(precisions: list[Precision], matches: list[int], possible: list[int]) -> list[Precision]:
    """The mean of each order's precision, the next one's and the smoothed one before; order 5 stands after the last."""
    following = [*precisions[1:], Fraction(matches[4], possible[4])]
    before: Precision = precisions[0] + 1
    out: list[Precision] = []
    for own, after in zip(precisions, following, strict=True):
        before = (before + own + after) / 3
        out.append(before)
    return out


def _averaged(matches: list[int], possible: list[int], order: int, length: int) -> list[Precision]:
    """method5: averages over neighbouring orders."""
    return _neighbours(_fractions(matches, possible, order), matches, possible)


def _interpolated(matches: list[int], possible: list[int], order: int, length: int) -> list[Precision] | None:
    """method6: from order 3, towards the ratio of the two orders before; None without a matching 3-gram."""
    if matches[2] == 0:
        return None
    out = _fractions(matches, possible, order)
    for i in range(2, order):
        prior = out[i - 1] ** 2 / out[i - 2] if out[i - 2] else 0
        out[i] = (matches[i] + ALPHA * prior) / (max(0, length - i) + ALPHA)
    return out


def _both(matches: list[int], possible: list[int], order: int, length: int) -> list[Precision]:
    """method7: method4, then method5."""
    return _neighbours(_by_length(matches, possible, order, length), matches, possible)


SMOOTHING: dict[str, Smoothing] = {
    "method0": _none,
    "method1": _epsilon,
    "method2": _plus_one,
    "method3": _geometric,
    "method4": _by_length,
    "method5": _averaged,
    "method6": _interpolated,
    "method7": _both,
}
