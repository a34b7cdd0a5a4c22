"""Reward: completions in different words."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

from polychromic.core.errors import InputError
from polychromic.core.nouns import Distances, SampleSet, SetFunction, Verdict
from polychromic.core.protocols import Form
from polychromic.diversity.ngrams import (
    distinct,
    expectation_adjusted_distinct,
    jaccard_distances,
    ngram_counts,
)
from polychromic.diversity.tokenizers import tokenizer


@dataclass(frozen=True)
class Lexical:
    """Differences in n-grams.

    ``statistic``: ``jaccard``, the mean pairwise distance of the sets of n-grams of orders 1 to ``n``; ``distinct``,
    the set's Distinct-n (1510.03055); ``ead``, the same adjusted for length by a ``vocabulary`` (2202.13587). The
    latter two are pooled over the valid completions and multiplied by their share of the set.
    """

    needs: ClassVar[tuple[str, ...]] = ()

    statistic: Literal["jaccard", "distinct", "ead"] = "jaccard"
    n: int = 2
    tokenizer_name: str = "words"
    vocabulary: int = 30_000

    def __post_init__(self) -> None:
        tokenizer(self.tokenizer_name)
        if self.statistic not in ("jaccard", "distinct", "ead"):
            raise InputError(f"lexical: statistic must be jaccard, distinct or ead, not {self.statistic!r}")
        if self.n < 1 or self.vocabulary < 2:
            raise InputError(f"lexical: n must be at least 1 and vocabulary 2, not {self.n} and {self.vocabulary}")

    @property
    def form(self) -> Form:
        """``pairs`` for ``jaccard``, else ``set function``."""
        return "pairs" if self.statistic == "jaccard" else "set function"

    def evidence(self, samples: SampleSet, verdicts: Sequence[Verdict] | None) -> Distances | SetFunction:
        """Distances of all pairs for ``jaccard``, else a set function in [0, 1]."""
        tokens = [tokenizer(self.tokenizer_name)(text) for text in samples.texts]
        if self.statistic == "jaccard":
            return Distances(tuple(map(tuple, jaccard_distances(tokens, self.n).tolist())))

        def value(members: Sequence[int], size: int) -> float:
            counts = list(ngram_counts([tokens[i] for i in members], self.n).values())
            if self.statistic == "distinct":
                pooled = distinct(counts)
            else:
                pooled = min(1.0, expectation_adjusted_distinct(counts, self.vocabulary))
            return 0.0 if math.isnan(pooled) else pooled * len(members) / size

        return SetFunction(value, len(tokens))
