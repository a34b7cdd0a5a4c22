"""Entropy of the n-gram frequencies of a set."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from polychromic.core.facts import Role, write_signature
from polychromic.core.nouns import Measurement, SampleSet
from polychromic.diversity.ngrams import entropy
from polychromic.metrics._sets import Options, Verdicts
from polychromic.metrics._texts import OfNgrams


@dataclass(frozen=True)
class NgramEntropy(OfNgrams):
    """Shannon entropy in nats of the pooled n-grams of the first k completions, in [0, log N]; grows with length."""

    title: ClassVar[str] = "{n}-gram entropy"
    role: ClassVar[Role] = Role.DIVERSITY
    direction: ClassVar[int] = 1
    headline: ClassVar[int] = 0
    needs: ClassVar[tuple[str, ...]] = ()

    @classmethod
    def defaults(cls, n: int) -> Options:
        """Options for ``n`` samples a prompt, where an evaluation names no metrics."""
        return ({"k": n},)

    @property
    def signature(self) -> str:
        """``ngram_entropy|n:N|tok:TOK|k:K|scope:prompt``."""
        return write_signature("ngram_entropy", n=self.n, tok=self.tok, k=self.k, scope="prompt")

    def measure(self, sets: Sequence[SampleSet], verdicts: Verdicts) -> list[Measurement]:
        """One measurement for each set; the detail counts n-grams, empty texts and characters."""
        metric = self.pinned(sets)
        return metric.scored(metric.signature, sets, verdicts, entropy)
