"""EAD: Distinct-n over its expectation for uniformly drawn words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from polychromic.core.nouns import Measurement, SampleSet
from polychromic.diversity.ngrams import expectation_adjusted_distinct
from polychromic.metrics._sets import Value, Verdicts, first_texts, sign, size_of, usual_size
from polychromic.metrics._texts import gram_detail, gram_sizes, measure_grams


@dataclass(frozen=True)
class Ead:
    """``N / (V (1 - ((V-1)/V)^C))`` for N different of C n-grams, at least 0 (2202.13587).

    For comparison with published numbers; it still falls with length. ``vocabulary`` is V (30522: BERT's, as there).
    """

    n: int = 1
    tok: str = "words"
    vocabulary: int = 30_522
    k: int | None = None

    @property
    def signature(self) -> str:
        """``ead|n:N|tok:TOK|vocabulary:V|k:K|scope:prompt``."""
        return sign("ead", n=self.n, tok=self.tok, vocabulary=self.vocabulary, k=self.k, scope="prompt")

    def pinned(self, sets: Sequence[SampleSet]) -> Ead:
        """The same metric with its k fixed to what these sets have in common."""
        return replace(self, k=usual_size(sets)) if self.k is None else self

    def measure(self, sets: Sequence[SampleSet], verdicts: Verdicts) -> list[Measurement]:
        """One measurement for each set; the detail counts n-grams, empty texts and characters."""
        metric = self.pinned(sets)
        return measure_grams(metric.signature, sets, verdicts, metric._one)

    def _one(self, samples: SampleSet) -> Value:
        texts = first_texts(samples, size_of(self.k))
        sizes = gram_sizes(texts, self.n, self.tok)
        return Value(expectation_adjusted_distinct(sizes, self.vocabulary), detail=gram_detail(texts, sizes))
