"""Rival: DRA (2505.09655): quality divided by how similar the set is to the sample, centred by the set."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from polychromic.core.nouns import Evidence
from polychromic.objective.credit import SetSize
from polychromic.objective.rivals.similarity import similarity


def advantages(
    evidence: Sequence[Evidence], validity: Sequence[Sequence[float]], set_size: SetSize
) -> NDArray[np.float64]:
    """``(R_i - mean R) / n`` with ``R_i = valid_i / sum_j similarity(i, j)``, j = i included, [p, n].

    For valid answers ``R_i`` is the Shapley credit. The set size plays no part. Raises UnsoundObjectiveError for set
    functions, which have no similarities.
    """
    rows = []
    for one, valid in zip(evidence, validity, strict=True):
        reward = np.asarray(valid) / similarity(one).sum(axis=1)
        rows.append((reward - reward.mean()) / len(valid))
    return np.array(rows)
