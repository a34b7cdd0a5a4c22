"""Nearest-neighbour distance: how far is each completion from the one most like it?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from polychromic.core.nouns import Measurement, SampleSet
from polychromic.core.protocols import Embedder
from polychromic.diversity.kernels import nearest_neighbour_distances
from polychromic.metrics._sets import Value, Verdicts, sign, size_of, usual_size
from polychromic.metrics._texts import embedder_name, measure_vectors


@dataclass(frozen=True)
class NearestNeighbour:
    """Mean cosine distance of each of the first k completions to its nearest other, in [0, 2]; 0 when all have a twin.

    Sees what the mean distance hides: two tight bunches far apart.
    """

    k: int | None = None
    embedder: Embedder | None = None

    @property
    def signature(self) -> str:
        """``nearest_neighbour|k:K|encoder:NAME|scope:prompt``."""
        return sign("nearest_neighbour", k=self.k, encoder=embedder_name(self.embedder), scope="prompt")

    def pinned(self, sets: Sequence[SampleSet]) -> NearestNeighbour:
        """The same metric with its k fixed to what these sets have in common."""
        return replace(self, k=usual_size(sets)) if self.k is None else self

    def measure(self, sets: Sequence[SampleSet], verdicts: Verdicts) -> list[Measurement]:
        """One measurement for each set; NaN without an encoder."""
        metric = self.pinned(sets)
        return measure_vectors(metric.signature, sets, size_of(metric.k), metric.embedder, _one)


def _one(vectors: Any) -> Value:
    return Value(float(nearest_neighbour_distances(vectors).mean()), detail={"texts": len(vectors)})
