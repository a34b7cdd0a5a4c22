"""Distinct-n of a set of completions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from polychromic.core.facts import Role, write_signature
from polychromic.core.nouns import Measurement, SampleSet
from polychromic.diversity.ngrams import distinct
from polychromic.metrics._sets import Options, Verdicts
from polychromic.metrics._texts import OfNgrams


@dataclass(frozen=True)
class Distinct(OfNgrams):
    """Different over all n-grams of the first k completions, pooled, in (0, 1] (1510.03055).

    Confounded by length and by k: only equal k may be compared, with the length beside it. See ``rarefied_distinct``.
    """

    title: ClassVar[str] = "Distinct-{n}"
    role: ClassVar[Role] = Role.DIVERSITY
    direction: ClassVar[int] = 1
    headline: ClassVar[int] = 4
    needs: ClassVar[tuple[str, ...]] = ()

    @classmethod
    def defaults(cls, n: int) -> Options:
        """Options for ``n`` samples a prompt, where an evaluation names no metrics."""
        return ({"n": 1, "k": n}, {"n": 2, "k": n})

    @property
    def signature(self) -> str:
        """``distinct|n:N|tok:TOK|k:K|scope:prompt``."""
        return write_signature("distinct", n=self.n, tok=self.tok, k=self.k, scope="prompt")

    def measure(self, sets: Sequence[SampleSet], verdicts: Verdicts) -> list[Measurement]:
        """One measurement for each set; the detail counts n-grams, empty texts and characters."""
        metric = self.pinned(sets)
        return metric.scored(metric.signature, sets, verdicts, distinct)
