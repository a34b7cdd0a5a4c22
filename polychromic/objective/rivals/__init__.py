"""Credits of other methods, for comparison: each file one ``advantages`` with the signature of ``Rival``.

None of them claims to be the gradient of the set objective; their files say what they are.
"""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from typing import Literal, Protocol, cast, get_args

import numpy as np
from numpy.typing import NDArray

from polychromic.core.errors import InputError
from polychromic.core.nouns import Evidence
from polychromic.objective.credit import SetSize

RivalName = Literal["naive", "shuffled", "accuracy", "poly_epo", "darling", "dra"]
NAMES: tuple[RivalName, ...] = get_args(RivalName)


class Rival(Protocol):
    """A credit assignment over the ``p`` sets of a step."""

    def __call__(
        self, evidence: Sequence[Evidence], validity: Sequence[Sequence[float]], set_size: SetSize
    ) -> NDArray[np.float64]:
        """Advantages [p, n], all factors in, as ``DiversityObjective.advantages`` gives them."""
        ...


def rival(name: str) -> Rival:
    """The ``advantages`` of the rival called ``name``; raises InputError for another name."""
    if name not in NAMES:
        raise InputError(f"rival must be one of {', '.join(NAMES)}, not {name!r}")
    return cast(Rival, importlib.import_module(f"{__name__}.{name}").advantages)
