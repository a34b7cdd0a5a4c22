"""Rival: DARLING (2509.02534): quality times how many of the others are different, centred by the set."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from polychromic.core.nouns import Evidence
from polychromic.objective.credit import SetSize
from polychromic.objective.rivals.similarity import similarity

FLOOR = 0.1


def advantages(
    evidence: Sequence[Evidence], validity: Sequence[Sequence[float]], set_size: SetSize
) -> NDArray[np.float64]:
    """``(R_i - mean R) / n`` with ``R_i = valid_i max(0.1, (n - |cluster of i|) / (n - 1))``, [p, n].

    For distances the share of others in another cluster becomes the mean distance to the others. The set size plays no
    part. Raises UnsoundObjectiveError for set functions, which have no clusters.
    """
    rows = []
    for one, valid in zip(evidence, validity, strict=True):
        n = len(valid)
        away = (n - similarity(one).sum(axis=1)) / max(n - 1, 1)
        reward = np.asarray(valid) * np.maximum(FLOOR, away)
        rows.append((reward - reward.mean()) / n)
    return np.array(rows)
