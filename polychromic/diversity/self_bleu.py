"""Self-BLEU of a set of texts, exact and linear in its tokens: each text against all the others (1802.01886).

The sentence-BLEU of text i against the other N-1 texts needs, for each n-gram, the largest count in any *other* text.
Two numbers for each n-gram give it without a pairwise loop: the largest count in any text, and the second largest,
which takes its place when text i alone attains the largest. The result equals nltk's ``sentence_bleu`` to the last
bit, for its smoothing methods 0 and 1: the counts are integers, and the floating-point steps go in its order.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Sequence
from itertools import chain
from typing import Literal

import numpy as np
from jaxtyping import Float, Int
from numpy.typing import NDArray

from polychromic.core.errors import InputError
from polychromic.diversity.ngrams import Tokens

EPSILON = 0.1
"""The constant of nltk's smoothing method 1."""
PART = 2**18
"""n-grams sorted together: a few megabytes, which a processor's cache holds."""
PACKED = 2**63
"""Below this an n-gram with its place is one integer."""

SmoothingName = Literal["method0", "method1"]
Missing = Callable[[int], float]
"""The precision of an order without a match, from its possible n-grams."""


def self_bleu(texts: Sequence[Tokens], orders: Sequence[int] = (4,), smoothing: str = "method1") -> dict[int, float]:
    """Mean over the texts of sentence-BLEU against the others, in [0, 1], for each of ``orders``; high = alike.

    BLEU-n has uniform weights over the orders 1 to n. NaN for fewer than two texts. Raises InputError for an unknown
    method or order.
    """
    scores = self_bleu_scores(texts, orders, smoothing)
    return {n: math.fsum(values) / len(values) if len(values) > 1 else math.nan for n, values in scores.items()}


def self_bleu_scores(
    texts: Sequence[Tokens], orders: Sequence[int] = (4,), smoothing: str = "method1"
) -> dict[int, list[float]]:
    """Each text's sentence-BLEU against all the others, in [0, 1], for each of ``orders``; see ``self_bleu``."""
    missing = _method(smoothing, orders)
    if len(texts) < 2:
        return {n: [math.nan] * len(texts) for n in orders}
    lengths = np.fromiter(map(len, texts), dtype=np.int64, count=len(texts))
    matches = clipped_matches(texts, max(orders))
    rows = np.column_stack([lengths, closest_other_length(lengths), matches.T])
    unique, inverse = np.unique(rows, axis=0, return_inverse=True)
    found = inverse.reshape(-1).tolist()
    out = {}
    for n in orders:
        values = [_bleu(row, n, missing) for row in unique.tolist()]
        out[n] = [values[i] for i in found]
    return out


def clipped_matches(texts: Sequence[Tokens], depth: int) -> Int[np.ndarray, "depth n"]:
    """For each order 1 to ``depth`` and text: how many of its n-grams another text has too, clipped as in BLEU."""
    flat = list(chain.from_iterable(texts))
    table = {token: i for i, token in enumerate(dict.fromkeys(flat))}
    tokens = np.fromiter(map(table.__getitem__, flat), dtype=np.int32, count=len(flat))
    lengths = np.fromiter(map(len, texts), dtype=np.int64, count=len(texts))
    owner = np.repeat(np.arange(len(texts), dtype=np.int32), lengths)
    place = np.arange(len(flat), dtype=np.int32)
    grams = np.zeros_like(tokens)
    out = np.zeros((depth, len(texts)), dtype=np.int64)
    for order in range(depth):
        if not len(grams):
            break
        out[order], grams = _matches(grams, tokens[place + order], owner, len(texts))
        shared = np.flatnonzero(grams >= 0)
        grams, owner, place = grams[shared], owner[shared], place[shared]
        # An n-gram that one text alone has is part of no longer match, so only the shared ones are made longer.
        follows = np.flatnonzero((np.diff(place) == 1) & (owner[1:] == owner[:-1]))
        grams, owner, place = grams[follows], owner[follows], place[follows]
    return out


def _matches(
    heads: NDArray[np.int32], lasts: NDArray[np.int32], owner: NDArray[np.int32], n: int
) -> tuple[NDArray[np.int64], NDArray[np.int32]]:
    """Each text's clipped matches, and each n-gram's number; -1 for one that one text alone has.

    An n-gram is its ``head`` (the number of its first n-1 tokens) and its ``last`` token. The n-grams are dealt out
    into parts that fit the processor's cache, so that a token costs about the same in a million as in a thousand.
    """
    matches = np.zeros(n, dtype=np.int64)
    order, ends = _dealt(heads, lasts)
    heads, lasts, owner = heads[order], lasts[order], owner[order]
    dealt = np.empty_like(heads)
    known = start = 0
    for end in ends:
        part = slice(start, end)
        found, number, count = _leave_one_out(heads[part], lasts[part], owner[part])
        number[number >= 0] += known
        dealt[part] = number
        first, last = int(owner[start]), int(owner[end - 1]) + 1
        matches[first:last] += np.bincount(owner[part] - first, found, last - first).astype(np.int64)
        known, start = known + count, end
    numbers = np.empty_like(dealt)
    numbers[order] = dealt
    return matches, numbers


def _dealt(heads: NDArray[np.int32], lasts: NDArray[np.int32]) -> tuple[NDArray[np.int64] | slice, list[int]]:
    """An order that deals the n-grams out into parts of about ``PART``, and where in it each part ends.

    All occurrences of an n-gram come into one part, in their order.
    """
    wanted = min(256, -(-len(heads) // PART))
    if wanted == 1:
        return slice(None), [len(heads)]
    mixed = heads.view(np.uint32) * np.uint32(2654435769) + lasts.view(np.uint32) * np.uint32(3512401965)
    part = ((mixed >> np.uint32(15)) % np.uint32(wanted)).astype(np.uint8)
    sizes = np.bincount(part, minlength=wanted)
    order = np.argsort(part, kind="stable")  # of bytes: a radix sort, linear
    return order, np.cumsum(sizes[sizes > 0]).tolist()


def _sorted(heads: NDArray[np.int32], lasts: NDArray[np.int32]) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """The stable order that puts equal n-grams side by side, and where in it each one begins.

    n-gram and place packed into one integer are sorted by value, some ten times faster than by ``argsort``.
    """
    bits, width = len(heads).bit_length(), int(lasts.max()) + 1
    new = np.ones(len(heads), dtype=bool)
    if (int(heads.max()) + 1) * width << bits < PACKED:
        packed = heads.astype(np.int64) * width + lasts << bits
        packed |= np.arange(len(heads))
        packed.sort()
        order = packed & ((1 << bits) - 1)
        packed >>= bits
        np.not_equal(packed[1:], packed[:-1], out=new[1:])
        return order, new
    order = np.lexsort((lasts, heads))
    new[1:] = (np.diff(heads[order]) != 0) | (np.diff(lasts[order]) != 0)
    return order, new


def _leave_one_out(
    heads: NDArray[np.int32], lasts: NDArray[np.int32], owner: NDArray[np.int32]
) -> tuple[NDArray[np.int64], NDArray[np.int32], int]:
    """For each occurrence of an n-gram: its share of its text's clipped matches, and the n-gram's number.

    The matches of an n-gram in a text stand with its first occurrence there. n-grams that two texts or more have are
    numbered 0, 1, ..., the others -1; the last number says how many there are. ``owner`` is sorted, so the occurrences
    of one n-gram in one text come side by side.
    """
    order, new_gram = _sorted(heads, lasts)
    text = owner[order]
    new_pair = new_gram.copy()
    new_pair[1:] |= text[1:] != text[:-1]
    pair_start = np.flatnonzero(new_pair)
    count = np.diff(pair_start, append=len(text))
    first_pair = np.flatnonzero(new_gram[pair_start])
    texts_having = np.diff(first_pair, append=len(pair_start))
    largest = np.maximum.reduceat(count, first_pair)
    is_largest = count == np.repeat(largest, texts_having)
    alone = np.add.reduceat(is_largest, first_pair, dtype=np.int64) == 1
    second = np.maximum.reduceat(np.where(is_largest, 0, count), first_pair)
    clipped = np.minimum(count, np.repeat(largest, texts_having))
    loses = is_largest & np.repeat(alone, texts_having)
    clipped[loses] = np.repeat(second, texts_having)[loses]
    matches = np.zeros(len(text), dtype=np.int64)
    matches[order[pair_start]] = clipped
    shared = texts_having > 1
    name = np.where(shared, np.cumsum(shared) - 1, -1).astype(np.int32)
    number = np.empty(len(text), dtype=np.int32)
    number[order] = np.repeat(name, np.add.reduceat(count, first_pair))
    return matches, number, int(shared.sum())


def closest_other_length(lengths: Int[np.ndarray, " n"]) -> Int[np.ndarray, " n"]:
    """For each text the length nearest to its own among the others', the shorter of two equally near; needs n >= 2."""
    values, inverse, times = np.unique(lengths, return_inverse=True, return_counts=True)
    wide = values.astype(np.float64)
    below = wide - np.concatenate([[-np.inf], wide[:-1]])
    above = np.concatenate([wide[1:], [np.inf]]) - wide
    nearest = np.where(below <= above, wide - below, wide + above)
    closest: Float[np.ndarray, " n"] = np.where(times > 1, wide, nearest)[inverse.reshape(-1)]
    return closest.astype(np.int64)


def _bleu(row: list[int], order: int, missing: Missing) -> float:
    """BLEU of one text from (its length, the closest other length, its matches of orders 1, 2, ...)."""
    length, reference, *matches = row
    if matches[0] == 0:
        return 0.0
    possible = [max(1, length - n) for n in range(order)]
    precisions = [m / d if m else missing(d) for m, d in zip(matches[:order], possible, strict=True)]
    brevity = 1.0 if length > reference else math.exp(1 - reference / length)
    weight = 1 / order
    return brevity * math.exp(math.fsum(weight * math.log(p) for p in precisions))


def _method(name: str, orders: Sequence[int]) -> Missing:
    if name not in SMOOTHING:
        raise InputError(f"unknown smoothing {name!r}; there are {', '.join(SMOOTHING)}")
    if not orders or min(orders) < 1:
        raise InputError(f"self-BLEU needs orders of at least 1, not {tuple(orders)}")
    return SMOOTHING[name]


SMOOTHING: dict[str, Missing] = {
    "method0": lambda possible: sys.float_info.min,
    "method1": lambda possible: EPSILON / possible,
}
"""nltk's ways to count an order without a match: (all but) zero, or epsilon matches of the possible ones."""
