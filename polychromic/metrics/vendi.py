"""The Vendi score: the effective number of different completions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from polychromic.core.errors import InputError
from polychromic.core.facts import Role, write_signature
from polychromic.core.nouns import Measurement, SampleSet
from polychromic.diversity.vendi import Moment, vendi
from polychromic.metrics._sets import Options, Value, Verdicts
from polychromic.metrics._texts import OfVectors, embedder_name, lonely, with_the_first


@dataclass(frozen=True)
class Vendi(OfVectors):
    """Vendi score of order ``q`` of the first k completions' embeddings, in [1, k] (2210.02410, 2310.12952).

    ``scope`` corpus takes the completions of all prompts together: one number, in [1, d], without an interval, which
    stands with the first prompt.
    """

    title: ClassVar[str] = "Vendi score (q {q})"
    role: ClassVar[Role] = Role.DIVERSITY
    direction: ClassVar[int] = 1
    headline: ClassVar[int] = 0
    needs: ClassVar[tuple[str, ...]] = ("encoder",)

    q: float = 1.0
    scope: Literal["prompt", "corpus"] = "prompt"

    def __post_init__(self) -> None:
        if not self.q >= 0:
            raise InputError(f"the order q of a Vendi score must be at least 0, not {self.q}")

    @classmethod
    def defaults(cls, n: int) -> Options:
        """Options for ``n`` samples a prompt, where an evaluation names no metrics."""
        return ({"k": n},)

    @property
    def signature(self) -> str:
        """``vendi|q:Q|k:K|encoder:NAME|scope:SCOPE``."""
        return write_signature(
            "vendi", q=float(self.q), k=self.k, encoder=embedder_name(self.embedder), scope=self.scope
        )

    def measure(self, sets: Sequence[SampleSet], verdicts: Verdicts) -> list[Measurement]:
        """One measurement for each set; NaN without an encoder."""
        metric = self.pinned(sets)
        return metric.encoded(metric.signature, sets, metric._one) if metric.scope == "prompt" else metric._corpus(sets)

    def _corpus(self, sets: Sequence[SampleSet]) -> list[Measurement]:
        moment = Moment()

        def collect(vectors: Any) -> Value:
            moment.add(vectors)
            return Value(0.0, detail={"texts": len(vectors)})

        rows = self.encoded(self.signature, sets, collect, least=1)
        return with_the_first(rows, moment.vendi(self.q), lonely(moment.count))

    def _one(self, vectors: Any) -> Value:
        return Value(vendi(vectors, self.q), detail={"texts": len(vectors)})
