"""Entropy of the n-gram frequencies of a set."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from polychromic.core.nouns import Measurement, SampleSet
from polychromic.diversity.ngrams import entropy
from polychromic.metrics._sets import Value, Verdicts, first_texts, sign, size_of, usual_size
from polychromic.metrics._texts import gram_detail, gram_sizes, measure_grams


@dataclass(frozen=True)
class NgramEntropy:
    """Shannon entropy in nats of the pooled n-grams of the first k completions, in [0, log N]; grows with length."""

    n: int = 2
    tok: str = "words"
    k: int | None = None

    @property
    def signature(self) -> str:
        """``ngram_entropy|n:N|tok:TOK|k:K|scope:prompt``."""
        return sign("ngram_entropy", n=self.n, tok=self.tok, k=self.k, scope="prompt")

    def pinned(self, sets: Sequence[SampleSet]) -> NgramEntropy:
        """The same metric with its k fixed to what these sets have in common."""
        return replace(self, k=usual_size(sets)) if self.k is None else self

    def measure(self, sets: Sequence[SampleSet], verdicts: Verdicts) -> list[Measurement]:
        """One measurement for each set; the detail counts n-grams, empty texts and characters."""
        metric = self.pinned(sets)
        return measure_grams(metric.signature, sets, verdicts, metric._one)

    def _one(self, samples: SampleSet) -> Value:
        texts = first_texts(samples, size_of(self.k))
        sizes = gram_sizes(texts, self.n, self.tok)
        return Value(entropy(sizes), detail=gram_detail(texts, sizes))
