"""Redundancy of a set of texts as a compressor sees it, at an equal number of bytes."""

from __future__ import annotations

import zlib
from collections.abc import Sequence

import numpy as np

from polychromic.core.errors import InputError

LEVEL = 9


def byte_count(texts: Sequence[str]) -> int:
    """UTF-8 bytes of all the texts together."""
    return sum(len(_bytes(text)) for text in texts)


def compression_ratio(texts: Sequence[str], budget: int) -> float:
    """Bytes before over bytes after zlib, for exactly ``budget`` bytes of the texts; high = redundant.

    The ratio grows with the amount of text, so only equal budgets may be compared. The longest texts are cut first, all
    to one length, so that every text takes part. NaN when the texts are shorter than the budget.
    """
    if budget < 1:
        raise InputError(f"the byte budget must be at least 1, not {budget}")
    raw = [_bytes(text) for text in texts]
    if sum(map(len, raw)) < budget:
        return float("nan")
    kept = b"".join(text[:size] for text, size in zip(raw, levelled([len(text) for text in raw], budget), strict=True))
    return len(kept) / len(zlib.compress(kept, LEVEL))


def levelled(lengths: Sequence[int], budget: int) -> list[int]:
    """The lengths cut to one level so that they sum to ``budget``; the first of the cut ones take the remainder."""
    level = 0
    rest = budget
    order = np.argsort(lengths, kind="stable")
    for place, index in enumerate(order):
        level = rest // (len(order) - place)
        if lengths[index] > level:
            break
        rest -= lengths[index]
    out = [min(length, level) for length in lengths]
    extra = budget - sum(out)
    for index, length in enumerate(lengths):
        if extra and length > level:
            out[index] += 1
            extra -= 1
    return out


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")
