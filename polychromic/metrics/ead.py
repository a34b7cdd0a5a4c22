"""EAD: Distinct-n over its expectation for uniformly drawn words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from polychromic.core.facts import Role, write_signature
from polychromic.core.nouns import Measurement, SampleSet
from polychromic.diversity.ngrams import expectation_adjusted_distinct
from polychromic.metrics._sets import Options, Verdicts
from polychromic.metrics._texts import OfNgrams


@dataclass(frozen=True)
class Ead(OfNgrams):
    """``N / (V (1 - ((V-1)/V)^C))`` for N different of C n-grams, at least 0 (2202.13587).

    For comparison with published numbers; it still falls with length. ``vocabulary`` is V (30522: BERT's, as there).
    """

    title: ClassVar[str] = "EAD-{n}"
    role: ClassVar[Role] = Role.DIVERSITY
    direction: ClassVar[int] = 1
    headline: ClassVar[int] = 0
    needs: ClassVar[tuple[str, ...]] = ()

    n: int = 1
    vocabulary: int = 30_522

    @classmethod
    def defaults(cls, n: int) -> Options:
        """Options for ``n`` samples a prompt, where an evaluation names no metrics."""
        return ({"k": n},)

    @property
    def signature(self) -> str:
        """``ead|n:N|tok:TOK|vocabulary:V|k:K|scope:prompt``."""
        return write_signature("ead", n=self.n, tok=self.tok, vocabulary=self.vocabulary, k=self.k, scope="prompt")

    def measure(self, sets: Sequence[SampleSet], verdicts: Verdicts) -> list[Measurement]:
        """One measurement for each set; the detail counts n-grams, empty texts and characters."""
        metric = self.pinned(sets)
        return metric.scored(metric.signature, sets, verdicts, metric._score)

    def _score(self, sizes: NDArray[np.int64]) -> float:
        return expectation_adjusted_distinct(sizes, self.vocabulary)
