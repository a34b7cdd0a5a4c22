"""Distinct-n of a set of completions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from polychromic.core.nouns import Measurement, SampleSet
from polychromic.diversity.ngrams import distinct
from polychromic.metrics._sets import Value, Verdicts, first_texts, sign, size_of, usual_size
from polychromic.metrics._texts import gram_detail, gram_sizes, measure_grams


@dataclass(frozen=True)
class Distinct:
    """Different over all n-grams of the first k completions, pooled, in (0, 1] (1510.03055).

    Confounded by length and by k: only equal k may be compared, with the length beside it. See ``rarefied_distinct``.
    """

    n: int = 2
    tok: str = "words"
    k: int | None = None

    @property
    def signature(self) -> str:
        """``distinct|n:N|tok:TOK|k:K|scope:prompt``."""
        return sign("distinct", n=self.n, tok=self.tok, k=self.k, scope="prompt")

    def pinned(self, sets: Sequence[SampleSet]) -> Distinct:
        """The same metric with its k fixed to what these sets have in common."""
        return replace(self, k=usual_size(sets)) if self.k is None else self

    def measure(self, sets: Sequence[SampleSet], verdicts: Verdicts) -> list[Measurement]:
        """One measurement for each set; the detail counts n-grams, empty texts and characters."""
        metric = self.pinned(sets)
        return measure_grams(metric.signature, sets, verdicts, metric._one)

    def _one(self, samples: SampleSet) -> Value:
        texts = first_texts(samples, size_of(self.k))
        sizes = gram_sizes(texts, self.n, self.tok)
        return Value(distinct(sizes), detail=gram_detail(texts, sizes))
