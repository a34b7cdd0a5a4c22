"""Semantic diversity: the mean cosine distance between the completions of a prompt."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from polychromic.core.nouns import Measurement, SampleSet
from polychromic.core.protocols import Embedder
from polychromic.diversity.kernels import mean_distance
from polychromic.metrics._sets import Value, Verdicts, sign, size_of, usual_size
from polychromic.metrics._texts import embedder_name, measure_vectors


@dataclass(frozen=True)
class Semantic:
    """Mean cosine distance over all pairs of the first k completions, in [0, n/(n-1)]; high = diverse.

    ``1 - (|sum e|^2 - n) / (n (n - 1))`` for unit vectors e. Empty texts are left out and counted in the detail.
    """

    k: int | None = None
    embedder: Embedder | None = None

    @property
    def signature(self) -> str:
        """``semantic|k:K|encoder:NAME|scope:prompt``."""
        return sign("semantic", k=self.k, encoder=embedder_name(self.embedder), scope="prompt")

    def pinned(self, sets: Sequence[SampleSet]) -> Semantic:
        """The same metric with its k fixed to what these sets have in common."""
        return replace(self, k=usual_size(sets)) if self.k is None else self

    def measure(self, sets: Sequence[SampleSet], verdicts: Verdicts) -> list[Measurement]:
        """One measurement for each set; NaN without an encoder."""
        metric = self.pinned(sets)
        return measure_vectors(metric.signature, sets, size_of(metric.k), metric.embedder, _one)


def _one(vectors: Any) -> Value:
    return Value(mean_distance(vectors), detail={"texts": len(vectors)})
