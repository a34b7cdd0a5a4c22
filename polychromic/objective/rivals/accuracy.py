"""Rival: accuracy alone, which is REINFORCE on validity with a leave-one-out mean (RLOO, 2402.14740)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from polychromic.core.nouns import Evidence, Labels
from polychromic.objective.credit import SetSize, group_credit


def advantages(
    evidence: Sequence[Evidence], validity: Sequence[Sequence[float]], set_size: SetSize
) -> NDArray[np.float64]:
    """``(valid_i - mean of the other samples' validity) / n``, [p, n]; the set size plays no part."""
    rows = []
    for one, valid in zip(evidence, validity, strict=True):
        labels = one.values if isinstance(one, Labels) else ("any",) * len(valid)
        credit = group_credit(Labels(labels), valid, 1)
        rows.append((credit.values - credit.reference) / len(valid))
    return np.array(rows)
