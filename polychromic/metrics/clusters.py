"""The number of groups of like completions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from polychromic.core.nouns import Measurement, SampleSet
from polychromic.core.protocols import Embedder
from polychromic.diversity.kernels import clusters
from polychromic.metrics._sets import Value, Verdicts, sign, size_of, usual_size
from polychromic.metrics._texts import embedder_name, measure_vectors


@dataclass(frozen=True)
class Clusters:
    """Single-linkage clusters of the first k completions at a cosine distance of ``threshold``, in [1, k]."""

    threshold: float = 0.3
    k: int | None = None
    embedder: Embedder | None = None

    @property
    def signature(self) -> str:
        """``clusters|threshold:T|k:K|encoder:NAME|scope:prompt``."""
        name = embedder_name(self.embedder)
        return sign("clusters", threshold=self.threshold, k=self.k, encoder=name, scope="prompt")

    def pinned(self, sets: Sequence[SampleSet]) -> Clusters:
        """The same metric with its k fixed to what these sets have in common."""
        return replace(self, k=usual_size(sets)) if self.k is None else self

    def measure(self, sets: Sequence[SampleSet], verdicts: Verdicts) -> list[Measurement]:
        """One measurement for each set; NaN without an encoder."""
        metric = self.pinned(sets)
        return measure_vectors(metric.signature, sets, size_of(metric.k), metric.embedder, metric._one)

    def _one(self, vectors: Any) -> Value:
        return Value(int(clusters(vectors, self.threshold).max()) + 1, detail={"texts": len(vectors)})
