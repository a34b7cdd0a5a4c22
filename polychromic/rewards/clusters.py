"""Reward: completions that are not near-duplicates of each other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from polychromic.core.errors import InputError
from polychromic.core.nouns import SampleSet, SetFunction, Verdict
from polychromic.core.protocols import Embedder
from polychromic.diversity.kernels import clusters


@dataclass(frozen=True)
class Clusters:
    """Groups of valid completions linked by cosine distances up to ``threshold``, over the size of the set.

    Not labels: which group a completion is in depends on the others, and labels made from the whole set would let a
    completion change the worth of sets it is not in.
    """

    form: ClassVar[str] = "set function"
    needs: ClassVar[tuple[str, ...]] = ("encoder",)

    embedder: Embedder
    threshold: float = 0.15

    def __post_init__(self) -> None:
        if not 0.0 <= self.threshold <= 2.0:
            raise InputError(f"clusters: threshold is a cosine distance in [0, 2], not {self.threshold}")

    def evidence(self, samples: SampleSet, verdicts: Sequence[Verdict] | None) -> SetFunction:
        """A set function in [0, 1]: 1 when all are valid and far apart, 0 when none is valid."""
        vectors = np.asarray(self.embedder.embed(samples.texts))

        def value(members: Sequence[int], size: int) -> float:
            if not members:
                return 0.0
            return len(set(clusters(vectors[list(members)], self.threshold).tolist())) / size

        return SetFunction(value, len(vectors))
