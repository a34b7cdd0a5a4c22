"""Rival: Poly-EPO's subset advantage (2604.17654), without the clipping and scaling of its optimiser."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from polychromic.core.nouns import Distances, Evidence
from polychromic.objective.credit import SetSize, group_credit


def advantages(
    evidence: Sequence[Evidence], validity: Sequence[Sequence[float]], set_size: SetSize
) -> NDArray[np.float64]:
    """``(k/n) (mean of f over the k-subsets with i - mean of f over all k-subsets)``, [p, n].

    The mean over all subsets holds sample i itself, so this is ``1 - k/n`` times the plain leave-one-out advantage: too
    short a gradient for ``k < n``, none at ``k = n``. Shapley averages it over ``k``.
    """
    rows = []
    for one, valid in zip(evidence, validity, strict=True):
        n = len(valid)
        least = 2 if isinstance(one, Distances) else 1  # a set of one sample has no pair and is worth nothing
        sizes = range(least, n) if set_size == "shapley" else (set_size,)
        row = np.zeros(n)
        for k in sizes:
            if k < n:
                credit = group_credit(one, valid, k)
                row += (1.0 - k / n) * (credit.values - credit.reference) / n
        rows.append(row / (n if set_size == "shapley" else 1))
    return np.array(rows)
