"""The number of groups of like completions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from polychromic.core.nouns import Measurement, SampleSet
from polychromic.diversity.kernels import clusters
from polychromic.metrics._sets import Value, Verdicts, sign
from polychromic.metrics._texts import OfVectors, embedder_name


@dataclass(frozen=True)
class Clusters(OfVectors):
    """Single-linkage clusters of the first k completions at a cosine distance of ``threshold``, in [1, k]."""

    threshold: float = 0.3

    @property
    def signature(self) -> str:
        """``clusters|threshold:T|k:K|encoder:NAME|scope:prompt``."""
        name = embedder_name(self.embedder)
        return sign("clusters", threshold=self.threshold, k=self.k, encoder=name, scope="prompt")

    def measure(self, sets: Sequence[SampleSet], verdicts: Verdicts) -> list[Measurement]:
        """One measurement for each set; NaN without an encoder."""
        metric = self.pinned(sets)
        return metric.encoded(metric.signature, sets, metric._one)

    def _one(self, vectors: Any) -> Value:
        return Value(int(clusters(vectors, self.threshold).max()) + 1, detail={"texts": len(vectors)})
