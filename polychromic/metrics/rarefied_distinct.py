"""Rarefied Distinct-n: Distinct-n at an equal number of n-grams, so that length does not matter."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from polychromic.core.facts import Role, write_signature
from polychromic.core.nouns import Measurement, SampleSet
from polychromic.diversity.ngrams import rarefied_distinct
from polychromic.metrics._sets import Options, UnmeasurableError, Verdicts, first_texts, size_of
from polychromic.metrics._texts import OfNgrams, gram_sizes

FLOOR = 8
"""Sets with fewer n-grams do not set the common size; they have no measurement."""


@dataclass(frozen=True)
class RarefiedDistinct(OfNgrams):
    """Expected Distinct-n of m n-grams drawn from the first k completions, in (0, 1]; NaN for fewer than m.

    ``m`` of None is the smallest number of n-grams that any set has (at least 8), ``k`` of None the number of samples
    that most sets have. Numbers of different m may not be compared, and their signatures differ.
    """

    title: ClassVar[str] = "rarefied Distinct-{n}"
    role: ClassVar[Role] = Role.DIVERSITY
    direction: ClassVar[int] = 1
    headline: ClassVar[int] = 0
    needs: ClassVar[tuple[str, ...]] = ()

    m: int | None = None

    @classmethod
    def defaults(cls, n: int) -> Options:
        """Options for ``n`` samples a prompt, where an evaluation names no metrics."""
        return ({"k": n},)

    @property
    def signature(self) -> str:
        """``rarefied_distinct|n:N|tok:TOK|k:K|m:M|scope:prompt``."""
        return write_signature("rarefied_distinct", n=self.n, tok=self.tok, k=self.k, m=self.m, scope="prompt")

    def pinned(self, sets: Sequence[SampleSet]) -> Self:
        """The same metric with its k and m fixed to what these sets have in common."""
        metric = super().pinned(sets)
        if metric.m is not None:
            return metric
        return replace(metric, m=min((size for size in map(metric._size, sets) if size >= FLOOR), default=FLOOR))

    def measure(self, sets: Sequence[SampleSet], verdicts: Verdicts) -> list[Measurement]:
        """One measurement for each set; the detail counts n-grams, empty texts and characters."""
        metric = self.pinned(sets)
        return metric.scored(metric.signature, sets, verdicts, metric._score)

    def _size(self, samples: SampleSet) -> int:
        try:
            return int(gram_sizes(first_texts(samples, size_of(self.k)), self.n, self.tok).sum())
        except UnmeasurableError:
            return 0

    def _score(self, sizes: NDArray[np.int64]) -> float:
        m = self.m or 1
        if sizes.sum() < m:
            raise UnmeasurableError(f"needs {m} {self.n}-grams, there are {int(sizes.sum())}")
        return rarefied_distinct(sizes, m)
