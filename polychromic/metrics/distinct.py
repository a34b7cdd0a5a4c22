"""Distinct-n of a set of completions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from polychromic.core.nouns import Measurement, SampleSet
from polychromic.diversity.ngrams import distinct
from polychromic.metrics._sets import Verdicts, sign
from polychromic.metrics._texts import OfNgrams


@dataclass(frozen=True)
class Distinct(OfNgrams):
    """Different over all n-grams of the first k completions, pooled, in (0, 1] (1510.03055).

    Confounded by length and by k: only equal k may be compared, with the length beside it. See ``rarefied_distinct``.
    """

    @property
    def signature(self) -> str:
        """``distinct|n:N|tok:TOK|k:K|scope:prompt``."""
        return sign("distinct", n=self.n, tok=self.tok, k=self.k, scope="prompt")

    def measure(self, sets: Sequence[SampleSet], verdicts: Verdicts) -> list[Measurement]:
        """One measurement for each set; the detail counts n-grams, empty texts and characters."""
        metric = self.pinned(sets)
        return metric.scored(metric.signature, sets, verdicts, distinct)
