"""The Vendi score: the effective number of different completions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from polychromic.core.errors import InputError
from polychromic.core.nouns import Measurement, SampleSet
from polychromic.core.protocols import Embedder
from polychromic.diversity.vendi import vendi
from polychromic.metrics._sets import Value, Verdicts, sign, size_of, usual_size
from polychromic.metrics._texts import embedder_name, measure_vectors


@dataclass(frozen=True)
class Vendi:
    """Vendi score of order ``q`` of the first k completions' embeddings, in [1, k] (2210.02410, 2310.12952)."""

    q: float = 1.0
    k: int | None = None
    embedder: Embedder | None = None

    def __post_init__(self) -> None:
        if not self.q >= 0:
            raise InputError(f"the order q of a Vendi score must be at least 0, not {self.q}")

    @property
    def signature(self) -> str:
        """``vendi|q:Q|k:K|encoder:NAME|scope:prompt``."""
        return sign("vendi", q=float(self.q), k=self.k, encoder=embedder_name(self.embedder), scope="prompt")

    def pinned(self, sets: Sequence[SampleSet]) -> Vendi:
        """The same metric with its k fixed to what these sets have in common."""
        return replace(self, k=usual_size(sets)) if self.k is None else self

    def measure(self, sets: Sequence[SampleSet], verdicts: Verdicts) -> list[Measurement]:
        """One measurement for each set; NaN without an encoder."""
        metric = self.pinned(sets)
        return measure_vectors(metric.signature, sets, size_of(metric.k), metric.embedder, metric._one)

    def _one(self, vectors: Any) -> Value:
        return Value(vendi(vectors, self.q), detail={"texts": len(vectors)})
