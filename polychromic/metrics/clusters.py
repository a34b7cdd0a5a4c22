"""The number of groups of like completions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from polychromic.core.facts import Role, write_signature
from polychromic.core.nouns import Measurement, SampleSet
from polychromic.diversity.kernels import clusters
from polychromic.metrics._sets import Options, Value, Verdicts
from polychromic.metrics._texts import OfVectors, embedder_name


@dataclass(frozen=True)
class Clusters(OfVectors):
    """Single-linkage clusters of the first k completions at a cosine distance of ``threshold``, in [1, k]."""

    title: ClassVar[str] = "clusters"
    role: ClassVar[Role] = Role.DIVERSITY
    direction: ClassVar[int] = 1
    headline: ClassVar[int] = 0
    needs: ClassVar[tuple[str, ...]] = ("encoder",)

    threshold: float = 0.3

    @classmethod
    def defaults(cls, n: int) -> Options:
        """Options for ``n`` samples a prompt, where an evaluation names no metrics."""
        return ({"k": n},)

    @property
    def signature(self) -> str:
        """``clusters|threshold:T|k:K|encoder:NAME|scope:prompt``."""
        name = embedder_name(self.embedder)
        return write_signature("clusters", threshold=self.threshold, k=self.k, encoder=name, scope="prompt")

    def measure(self, sets: Sequence[SampleSet], verdicts: Verdicts) -> list[Measurement]:
        """One measurement for each set; NaN without an encoder."""
        metric = self.pinned(sets)
        return metric.encoded(metric.signature, sets, metric._one)

    def _one(self, vectors: Any) -> Value:
        return Value(int(clusters(vectors, self.threshold).max()) + 1, detail={"texts": len(vectors)})
