"""The volume the completions' embeddings span: the measure that the reward logdet trains."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from polychromic.core.errors import InputError
from polychromic.core.facts import Role, write_signature
from polychromic.core.nouns import Measurement, SampleSet
from polychromic.diversity.vendi import log_determinant
from polychromic.metrics._sets import Value, Verdicts
from polychromic.metrics._texts import OfVectors, embedder_name


@dataclass(frozen=True)
class Logdet(OfVectors):
    """``log det(I + scale K) / (k log(1 + scale))`` of the first k completions' cosine similarities, in (0, 1]."""

    title: ClassVar[str] = "log-determinant (scale {scale})"
    role: ClassVar[Role] = Role.DIVERSITY
    direction: ClassVar[int] = 1
    headline: ClassVar[int] = 0
    needs: ClassVar[tuple[str, ...]] = ("encoder",)

    scale: float = 1.0

    def __post_init__(self) -> None:
        if not self.scale > 0:
            raise InputError(f"the scale of a log-determinant must be positive, not {self.scale}")

    @property
    def signature(self) -> str:
        """``logdet|scale:S|k:K|encoder:NAME|scope:prompt``."""
        name = embedder_name(self.embedder)
        return write_signature("logdet", scale=float(self.scale), k=self.k, encoder=name, scope="prompt")

    def measure(self, sets: Sequence[SampleSet], verdicts: Verdicts) -> list[Measurement]:
        """One measurement for each set; NaN without an encoder."""
        metric = self.pinned(sets)
        return metric.encoded(metric.signature, sets, metric._one)

    def _one(self, vectors: Any) -> Value:
        return Value(log_determinant(vectors, self.scale), detail={"texts": len(vectors)})
