"""Reward: completions that mean different things."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from polychromic.core.nouns import Distances, SampleSet, Verdict
from polychromic.core.protocols import Embedder
from polychromic.diversity.kernels import cosine_distances


@dataclass(frozen=True)
class Semantic:
    """Mean pairwise cosine distance of the completions' embeddings, each distance capped into [0, 1].

    The cap keeps two opposed texts from being worth more than two unrelated ones.
    """

    form: ClassVar[str] = "pairs"
    needs: ClassVar[tuple[str, ...]] = ("encoder",)

    embedder: Embedder

    def evidence(self, samples: SampleSet, verdicts: Sequence[Verdict] | None) -> Distances:
        """Distances of all pairs, shape [n, n]."""
        distances = np.clip(cosine_distances(self.embedder.embed(samples.texts)), 0.0, 1.0)
        return Distances(tuple(map(tuple, distances.tolist())))
