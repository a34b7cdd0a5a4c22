"""Rival: the measured diversity subtracted from the loss as a number. Its gradient is that of SFT, bit for bit."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from polychromic.core.nouns import Evidence
from polychromic.objective.credit import SetSize


def advantages(
    evidence: Sequence[Evidence], validity: Sequence[Sequence[float]], set_size: SetSize
) -> NDArray[np.float64]:
    """Zeros, [p, n]: a number has no gradient."""
    return np.zeros((len(validity), len(validity[0]) if validity else 0))
