"""Nearest-neighbour distance: how far is each completion from the one most like it?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from polychromic.core.facts import Role, write_signature
from polychromic.core.nouns import Measurement, SampleSet
from polychromic.diversity.kernels import nearest_neighbour_distances
from polychromic.metrics._sets import Options, Value, Verdicts
from polychromic.metrics._texts import OfVectors, embedder_name


@dataclass(frozen=True)
class NearestNeighbour(OfVectors):
    """Mean cosine distance of each of the first k completions to its nearest other, in [0, 2]; 0 when all have a twin.

    Sees what the mean distance hides: two tight bunches far apart.
    """

    title: ClassVar[str] = "nearest-neighbour distance"
    role: ClassVar[Role] = Role.DIVERSITY
    direction: ClassVar[int] = 1
    headline: ClassVar[int] = 0
    needs: ClassVar[tuple[str, ...]] = ("encoder",)

    @classmethod
    def defaults(cls, n: int) -> Options:
        """Options for ``n`` samples a prompt, where an evaluation names no metrics."""
        return ({"k": n},)

    @property
    def signature(self) -> str:
        """``nearest_neighbour|k:K|encoder:NAME|scope:prompt``."""
        return write_signature("nearest_neighbour", k=self.k, encoder=embedder_name(self.embedder), scope="prompt")

    def measure(self, sets: Sequence[SampleSet], verdicts: Verdicts) -> list[Measurement]:
        """One measurement for each set; NaN without an encoder."""
        metric = self.pinned(sets)
        return metric.encoded(metric.signature, sets, _one)


def _one(vectors: Any) -> Value:
    return Value(float(nearest_neighbour_distances(vectors).mean()), detail={"texts": len(vectors)})
