"""Reward: the effective number of different meanings."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from polychromic.core.errors import InputError
from polychromic.core.nouns import SampleSet, SetFunction, Verdict
from polychromic.core.protocols import Embedder
from polychromic.diversity.kernels import cosine_similarities
from polychromic.diversity.vendi import vendi_of_kernel


@dataclass(frozen=True)
class Vendi:
    """Vendi score of the valid completions' embeddings over the size of the set (2210.02410); ``q`` is its order."""

    form: ClassVar[str] = "set function"
    needs: ClassVar[tuple[str, ...]] = ("encoder",)

    embedder: Embedder
    q: float = 1.0

    def __post_init__(self) -> None:
        if not self.q >= 0:
            raise InputError(f"vendi: q must be at least 0, not {self.q}")

    def evidence(self, samples: SampleSet, verdicts: Sequence[Verdict] | None) -> SetFunction:
        """A set function in [0, 1]: 1 when all are valid and orthogonal, 1/size when all are equal, 0 without any."""
        kernel = cosine_similarities(self.embedder.embed(samples.texts))

        def value(members: Sequence[int], size: int) -> float:
            if not members:
                return 0.0
            return vendi_of_kernel(kernel[np.ix_(members, members)], self.q) / size

        return SetFunction(value, len(kernel))
