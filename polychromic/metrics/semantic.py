"""Semantic diversity: the mean cosine distance between completions, of a prompt or of all prompts together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from polychromic.core.facts import Role, write_signature
from polychromic.core.nouns import Measurement, SampleSet
from polychromic.diversity.kernels import MeanDistance, mean_distance
from polychromic.metrics._sets import Options, Value, Verdicts
from polychromic.metrics._texts import OfVectors, embedder_name, lonely, with_the_first


@dataclass(frozen=True)
class Semantic(OfVectors):
    """Mean cosine distance over all pairs of the first k completions, in [0, n/(n-1)]; high = diverse.

    ``1 - (|sum e|^2 - n) / (n (n - 1))`` for unit vectors e. Empty texts are left out and counted in the detail.
    ``scope`` says which pairs: those of each prompt, or those of all prompts together (corpus), where different
    questions alone make texts differ. That is one number without an interval, which stands with the first prompt.
    """

    title: ClassVar[str] = "semantic diversity"
    role: ClassVar[Role] = Role.DIVERSITY
    direction: ClassVar[int] = 1
    headline: ClassVar[int] = 3
    needs: ClassVar[tuple[str, ...]] = ("encoder",)

    scope: Literal["prompt", "corpus"] = "prompt"

    @classmethod
    def defaults(cls, n: int) -> Options:
        """Options for ``n`` samples a prompt, where an evaluation names no metrics."""
        return ({"k": n},)

    @property
    def signature(self) -> str:
        """``semantic|k:K|encoder:NAME|scope:SCOPE``."""
        return write_signature("semantic", k=self.k, encoder=embedder_name(self.embedder), scope=self.scope)

    def measure(self, sets: Sequence[SampleSet], verdicts: Verdicts) -> list[Measurement]:
        """One measurement for each set; NaN without an encoder."""
        metric = self.pinned(sets)
        return metric.encoded(metric.signature, sets, _one) if metric.scope == "prompt" else metric._corpus(sets)

    def _corpus(self, sets: Sequence[SampleSet]) -> list[Measurement]:
        stream = MeanDistance()

        def collect(vectors: Any) -> Value:
            stream.add(vectors)
            return Value(0.0, detail={"texts": len(vectors)})

        rows = self.encoded(self.signature, sets, collect, least=1)
        return with_the_first(rows, stream.value, lonely(stream.count))


def _one(vectors: Any) -> Value:
    return Value(mean_distance(vectors), detail={"texts": len(vectors)})
