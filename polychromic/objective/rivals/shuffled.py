"""Rival: the right credits on the wrong prompts. What it gains is not owed to credit."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from polychromic.core.nouns import Evidence
from polychromic.objective.credit import SetSize, group_credit


def advantages(
    evidence: Sequence[Evidence], validity: Sequence[Sequence[float]], set_size: SetSize
) -> NDArray[np.float64]:
    """Plain leave-one-out advantages, given to the next prompt (to the next sample where there is one set)."""
    found = [group_credit(one, valid, set_size) for one, valid in zip(evidence, validity, strict=True)]
    right = np.array([(credit.values - credit.reference) / credit.values.size for credit in found])
    return np.roll(right, 1, axis=0 if len(right) > 1 else -1)
