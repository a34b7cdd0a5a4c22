"""NoveltyBench's scores (2504.05228): how many different answers does a patient user get, and what are they worth?"""

from __future__ import annotations

from collections.abc import Hashable, Sequence

from polychromic.core.errors import InputError

PATIENCE = 0.8
"""The chance that the user asks for one more answer, as in the paper."""


def distinct_k(classes: Sequence[Hashable | None]) -> int:
    """The number of different classes, in [0, k]; None is no class."""
    return len(set(classes) - {None})


def utility_k(classes: Sequence[Hashable | None], qualities: Sequence[float], patience: float = PATIENCE) -> float:
    """Expected worth to a user who goes on with probability ``patience``, in [0, largest quality]; NaN without samples.

    ``(1-p) / (1-p^k) * sum_i p^(i-1) * [class of i is new] * quality_i``, in the order of sampling;
    None is no class. Raises InputError for a patience outside (0, 1).
    """
    if not 0.0 < patience < 1.0:
        raise InputError(f"patience must lie between 0 and 1, not {patience}")
    if not classes:
        return float("nan")
    seen: set[Hashable] = set()
    total = 0.0
    for place, (kind, quality) in enumerate(zip(classes, qualities, strict=True)):
        if kind is not None and kind not in seen:
            seen.add(kind)
            total += patience**place * quality
    return total * (1 - patience) / (1 - patience ** len(classes))
