"""What the rivals that compare samples one with another take from the evidence."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from polychromic.core.errors import UnsoundObjectiveError
from polychromic.core.nouns import Evidence, Labels, SetFunction


def similarity(evidence: Evidence) -> NDArray[np.float64]:
    """Similarities in [0, 1] of all pairs, ones on the diagonal: the same label, or one minus the distance."""
    if isinstance(evidence, SetFunction):
        raise UnsoundObjectiveError("this method compares samples in pairs; allowed: a reward of answers or of pairs")
    if isinstance(evidence, Labels):
        labels = evidence.values
        same = [[float(a is not None and a == b) for b in labels] for a in labels]
        out = np.array(same)
    else:
        out = 1.0 - np.asarray(evidence.rows, dtype=np.float64)
    np.fill_diagonal(out, 1.0)
    return out
