"""Lexical distance between the completions of a prompt: the measure that the reward lexical trains."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from polychromic.core.errors import InputError
from polychromic.core.facts import Role, write_signature
from polychromic.core.nouns import Measurement, SampleSet
from polychromic.diversity.ngrams import jaccard_distances, tokenizer
from polychromic.metrics._sets import FirstK, Value, Verdicts, first_texts, size_of
from polychromic.metrics._texts import measure_grams


@dataclass(frozen=True)
class Jaccard(FirstK):
    """Mean over all pairs of the first k completions of one minus the shared share of their n-grams of orders 1 to n.

    In [0, 1]; high = diverse.
    """

    title: ClassVar[str] = "lexical distance (orders 1 to {n})"
    role: ClassVar[Role] = Role.DIVERSITY
    direction: ClassVar[int] = 1
    headline: ClassVar[int] = 0
    needs: ClassVar[tuple[str, ...]] = ()

    n: int = 2
    tok: str = "words"

    def __post_init__(self) -> None:
        tokenizer(self.tok)
        if self.n < 1:
            raise InputError(f"jaccard: n must be at least 1, not {self.n}")

    @property
    def signature(self) -> str:
        """``jaccard|n:N|tok:TOK|k:K|scope:prompt``."""
        return write_signature("jaccard", n=self.n, tok=self.tok, k=self.k, scope="prompt")

    def measure(self, sets: Sequence[SampleSet], verdicts: Verdicts) -> list[Measurement]:
        """One measurement for each set; NaN for fewer than two completions."""
        metric = self.pinned(sets)
        return measure_grams(metric.signature, sets, verdicts, metric._one)

    def _one(self, samples: SampleSet) -> Value:
        texts, split = first_texts(samples, size_of(self.k), least=2), tokenizer(self.tok)
        rows = jaccard_distances([split(text) for text in texts], self.n)
        pairs = len(texts) * (len(texts) - 1)
        return Value(float(rows.sum()) / pairs, detail={"empty": sum(not text.strip() for text in texts)})
