"""Self-BLEU of the completions of a prompt, or of all prompts together."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from typing import ClassVar, Literal

from polychromic.core.facts import Role, write_signature
from polychromic.core.nouns import Measurement, SampleSet, Verdict
from polychromic.diversity.ngrams import tokenizer
from polychromic.diversity.self_bleu import self_bleu, self_bleu_scores
from polychromic.metrics._sets import (
    FirstK,
    Options,
    UnmeasurableError,
    Value,
    Verdicts,
    first_texts,
    measure_each,
    size_of,
)


@dataclass(frozen=True)
class SelfBleu(FirstK):
    """Mean sentence-BLEU-n of each of the first k completions against all the others, in [0, 1]; high = alike.

    Exact and bit-equal to nltk (1802.01886). ``scope`` says who the others are: the same prompt's completions, or those
    of all prompts. An empty text is like no other, which is no diversity: it is left out and counted in the detail. NaN
    for fewer than k samples, and for fewer than two texts that are not empty.
    """

    title: ClassVar[str] = "Self-BLEU-{n}"
    role: ClassVar[Role] = Role.DIVERSITY
    direction: ClassVar[int] = -1
    headline: ClassVar[int] = 5
    needs: ClassVar[tuple[str, ...]] = ()

    n: int = 4
    smooth: str = "method1"
    tok: str = "words"
    scope: Literal["prompt", "corpus"] = "prompt"

    @classmethod
    def defaults(cls, n: int) -> Options:
        """Options for ``n`` samples a prompt, where an evaluation names no metrics."""
        return ({"k": n},)

    @property
    def signature(self) -> str:
        """``self_bleu|n:N|smooth:METHOD|tok:TOK|k:K|scope:SCOPE``."""
        return write_signature("self_bleu", n=self.n, smooth=self.smooth, tok=self.tok, k=self.k, scope=self.scope)

    def measure(self, sets: Sequence[SampleSet], verdicts: Verdicts) -> list[Measurement]:
        """One measurement for each set; the detail counts tokens and empty texts."""
        metric = self.pinned(sets)
        corpus = metric._corpus(sets) if metric.scope == "corpus" else {}
        least = 1 if corpus else 2

        def one(samples: SampleSet, _: Sequence[Verdict] | None) -> Value:
            split = tokenizer(metric.tok)
            texts = [split(text) for text in first_texts(samples, size_of(metric.k), least=least)]
            kept = [text for text in texts if text]
            if len(kept) < least:
                raise UnmeasurableError(f"needs two texts that are not empty, there are {len(kept)}")
            detail = {"tokens": sum(map(len, kept)), "empty": len(texts) - len(kept)}
            if corpus:
                scores = corpus[id(samples)]
                return Value(math.fsum(scores), len(scores), detail)
            score = self_bleu(kept, (metric.n,), metric.smooth)[metric.n]
            if math.isnan(score):
                raise UnmeasurableError(f"{metric.smooth} is not defined for a text without a common 3-gram")
            return Value(score, detail=detail)

        return measure_each(metric.signature, sets, verdicts, one)

    def _corpus(self, sets: Sequence[SampleSet]) -> dict[int, list[float]]:
        """Each set's scores, its texts compared with those of all sets that have k."""
        split, k = tokenizer(self.tok), size_of(self.k)
        whole = {id(item): item.texts[:k] for item in sets if len(item.completions) >= k}
        kept = {key: [tokens for text in texts if (tokens := split(text))] for key, texts in whole.items()}
        scores = iter(
            self_bleu_scores([text for texts in kept.values() for text in texts], (self.n,), self.smooth)[self.n]
        )
        return {key: list(islice(scores, len(texts))) for key, texts in kept.items()}
