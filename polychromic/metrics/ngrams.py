"""Lexical diversity of a set of completions: n-grams they share, BLEU against each other, what a compressor saves."""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any, ClassVar, Literal, Self

import numpy as np
from numpy.typing import NDArray

from polychromic.core.errors import InputError
from polychromic.core.facts import CORPUS, Role
from polychromic.core.nouns import Measurement, SampleSet
from polychromic.diversity.compression import byte_count, compression_ratio
from polychromic.diversity.ngrams import (
    distinct,
    entropy,
    expectation_adjusted_distinct,
    jaccard_distances,
    ngram_counts,
    rarefied_distinct,
)
from polychromic.diversity.self_bleu import SmoothingName, self_bleu, self_bleu_scores
from polychromic.diversity.tokenizers import TokenizerName, tokenizer
from polychromic.metrics._sets import (
    Judged,
    KSamples,
    Options,
    UnmeasurableError,
    Value,
    Verdicts,
    first_texts,
    measure_each,
)

Counts = NDArray[np.int32]
HELD_SETS = 4096
"""Sets whose n-gram counts are kept for the next metric: tens of megabytes."""
LEAST_GRAMS, LEAST_BYTES = 8, 64
"""Sets with fewer n-grams or bytes do not set the common size; they have no measurement."""


@functools.lru_cache(HELD_SETS)
def _gram_sizes(texts: tuple[str, ...], n: int, tok: str) -> Counts:
    """How often each n-gram occurs in the texts together: the same for all metrics of one order and tokeniser."""
    split = tokenizer(tok)
    counts = ngram_counts([split(text) for text in texts], n)
    sizes = np.fromiter(counts.values(), dtype=np.int32, count=len(counts))
    sizes.setflags(write=False)
    return sizes


def _empty(texts: Sequence[str]) -> int:
    return sum(not text.strip() for text in texts)


@dataclass(frozen=True)
class _OfNgrams(KSamples):
    """A metric of how often each ``n``-gram occurs in the first k completions together: a kind adds ``_score``.

    The detail counts n-grams, empty texts and characters.
    """

    role: ClassVar[Role] = Role.DIVERSITY
    direction: ClassVar[int] = 1

    n: int = 2
    tok: TokenizerName = "words"

    def __post_init__(self) -> None:
        tokenizer(self.tok)
        if self.n < 1:
            raise InputError(f"{self.kind}: n must be at least 1, not {self.n}")

    def _options(self) -> dict[str, Any]:
        return {"n": self.n, "tok": self.tok, "k": self.k, "scope": "prompt"}

    def _value(self, samples: SampleSet, judged: Judged) -> Value:
        texts = first_texts(samples, self.k_or_1)
        sizes = _gram_sizes(texts, self.n, self.tok)
        if not len(sizes):
            raise UnmeasurableError(f"the {len(texts)} texts hold no {self.n}-gram")
        counts = {"distinct": len(sizes), "total": int(sizes.sum())}
        return Value(self._score(sizes), detail=counts | {"empty": _empty(texts), "chars": sum(map(len, texts))})

    def _score(self, sizes: Counts) -> float:
        raise NotImplementedError


@dataclass(frozen=True)
class Distinct(_OfNgrams):
    """Different over all n-grams of the first k completions, pooled, in (0, 1] (1510.03055).

    Confounded by length and by k: only equal k may be compared, with the length beside it. See ``rarefied_distinct``.
    """

    kind: ClassVar[str] = "distinct"
    title: ClassVar[str] = "Distinct-{n}"
    headline: ClassVar[int] = 4

    @classmethod
    def defaults(cls, n: int) -> Options:
        """Words and pairs."""
        return ({"n": 1, "k": n}, {"n": 2, "k": n})

    def _score(self, sizes: Counts) -> float:
        return distinct(sizes)


@dataclass(frozen=True)
class RarefiedDistinct(_OfNgrams):
    """Expected Distinct-n of m n-grams drawn from the first k completions, in (0, 1]; NaN for fewer than m.

    ``m`` of None is the smallest number of n-grams that any set has (at least 8), ``k`` of None the number of samples
    that most sets have. Numbers of different m may not be compared, and their signatures differ.
    """

    kind: ClassVar[str] = "rarefied_distinct"
    title: ClassVar[str] = "rarefied Distinct-{n}"

    m: int | None = None

    def pinned(self, sets: Sequence[SampleSet]) -> Self:
        """The same metric with its k and m fixed to what these sets have in common."""
        metric = super().pinned(sets)
        if metric.m is not None:
            return metric
        k = metric.k_or_1
        whole = (item.texts[:k] for item in sets if 1 <= k <= len(item.completions))
        sizes = (int(_gram_sizes(texts, self.n, self.tok).sum()) for texts in whole)
        return replace(metric, m=min((size for size in sizes if size >= LEAST_GRAMS), default=LEAST_GRAMS))

    def _options(self) -> dict[str, Any]:
        return {"n": self.n, "tok": self.tok, "k": self.k, "m": self.m, "scope": "prompt"}

    def _score(self, sizes: Counts) -> float:
        m = self.m or 1
        if sizes.sum() < m:
            raise UnmeasurableError(f"needs {m} {self.n}-grams, there are {int(sizes.sum())}")
        return rarefied_distinct(sizes, m)


@dataclass(frozen=True)
class Ead(_OfNgrams):
    """``N / (V (1 - ((V-1)/V)^C))`` for N different of C n-grams, at least 0 (2202.13587).

    For comparison with published numbers; it still falls with length. ``vocabulary`` is V (30522: BERT's, as there).
    """

    kind: ClassVar[str] = "ead"
    title: ClassVar[str] = "EAD-{n}"

    n: int = 1
    vocabulary: int = 30_522

    def _options(self) -> dict[str, Any]:
        return {"n": self.n, "tok": self.tok, "vocabulary": self.vocabulary, "k": self.k, "scope": "prompt"}

    def _score(self, sizes: Counts) -> float:
        return expectation_adjusted_distinct(sizes, self.vocabulary)


@dataclass(frozen=True)
class NgramEntropy(_OfNgrams):
    """Shannon entropy in nats of the pooled n-grams of the first k completions, in [0, log N]; grows with length."""

    kind: ClassVar[str] = "ngram_entropy"
    title: ClassVar[str] = "{n}-gram entropy"

    def _score(self, sizes: Counts) -> float:
        return entropy(sizes)


@dataclass(frozen=True)
class Jaccard(_OfNgrams):
    """Mean over all pairs of the first k completions of one minus the shared share of their n-grams of orders 1 to n.

    In [0, 1]; high = diverse. It is the measure that the reward ``lexical`` trains.
    """

    kind: ClassVar[str] = "jaccard"
    title: ClassVar[str] = "lexical distance (orders 1 to {n})"

    @classmethod
    def defaults(cls, n: int) -> Options:
        """None: it is measured where it is named."""
        return ()

    def _value(self, samples: SampleSet, judged: Judged) -> Value:
        texts, split = first_texts(samples, self.k_or_1, least=2), tokenizer(self.tok)
        rows = jaccard_distances([split(text) for text in texts], self.n)
        return Value(float(rows.sum()) / (len(texts) * (len(texts) - 1)), detail={"empty": _empty(texts)})


@dataclass(frozen=True)
class SelfBleu(KSamples):
    """Mean sentence-BLEU-n of each of the first k completions against all the others, in [0, 1]; high = alike.

    Exact and bit-equal to nltk (1802.01886). ``scope`` says who the others are: the same prompt's completions, or those
    of all prompts. An empty text is like no other, which is no diversity: it is left out and counted in the detail. NaN
    for fewer than k samples, and for fewer than two texts that are not empty.
    """

    kind: ClassVar[str] = "self_bleu"
    title: ClassVar[str] = "Self-BLEU-{n}"
    role: ClassVar[Role] = Role.DIVERSITY
    direction: ClassVar[int] = -1
    headline: ClassVar[int] = 5

    n: int = 4
    smooth: SmoothingName = "method1"
    tok: TokenizerName = "words"
    scope: Literal["prompt", "corpus"] = "prompt"

    def measure(self, sets: Sequence[SampleSet], verdicts: Verdicts) -> list[Measurement]:
        """One measurement for each set; the detail counts tokens and empty texts."""
        metric, split = self.pinned(sets), tokenizer(self.tok)
        corpus = metric._corpus(sets) if metric.scope == CORPUS else {}
        least = 1 if corpus else 2

        def one(samples: SampleSet, _: Judged) -> Value:
            texts = [split(text) for text in first_texts(samples, metric.k_or_1, least=least)]
            kept = [text for text in texts if text]
            if len(kept) < least:
                raise UnmeasurableError(f"needs two texts that are not empty, there are {len(kept)}")
            detail = {"tokens": sum(map(len, kept)), "empty": len(texts) - len(kept)}
            if corpus:
                scores = corpus[id(samples)]
                return Value(math.fsum(scores), len(scores), detail)
            return Value(self_bleu(kept, (metric.n,), metric.smooth)[metric.n], detail=detail)

        return measure_each(metric.signature, sets, verdicts, one)

    def _options(self) -> dict[str, Any]:
        return {"n": self.n, "smooth": self.smooth, "tok": self.tok, "k": self.k, "scope": self.scope}

    def _corpus(self, sets: Sequence[SampleSet]) -> dict[int, list[float]]:
        """Each set's scores, its texts compared with those of all sets that have k."""
        split, k = tokenizer(self.tok), self.k_or_1
        whole = {id(item): item.texts[:k] for item in sets if len(item.completions) >= k}
        kept = {key: [tokens for text in texts if (tokens := split(text))] for key, texts in whole.items()}
        scores = iter(
            self_bleu_scores([text for texts in kept.values() for text in texts], (self.n,), self.smooth)[self.n]
        )
        return {key: list(islice(scores, len(texts))) for key, texts in kept.items()}


@dataclass(frozen=True)
class Compression(KSamples):
    """Bytes before over bytes after zlib for ``budget`` bytes of the first k completions; high = redundant.

    ``budget`` of None is the smallest number of bytes that any set has (of at least 64), ``k`` of None the number of
    samples that most sets have. NaN for fewer bytes; numbers of different budgets may not be compared.
    """

    kind: ClassVar[str] = "compression"
    title: ClassVar[str] = "compression ratio"
    role: ClassVar[Role] = Role.DIVERSITY
    direction: ClassVar[int] = -1

    budget: int | None = None

    def pinned(self, sets: Sequence[SampleSet]) -> Self:
        """The same metric with its k and budget fixed to what these sets have in common."""
        metric = super().pinned(sets)
        if metric.budget is not None:
            return metric
        sizes = [byte_count(item.texts[: metric.k]) for item in sets if len(item.completions) >= metric.k_or_1]
        return replace(metric, budget=min((size for size in sizes if size >= LEAST_BYTES), default=LEAST_BYTES))

    def _options(self) -> dict[str, Any]:
        return {"zlib": 9, "k": self.k, "bytes": self.budget, "scope": "prompt"}

    def _value(self, samples: SampleSet, judged: Judged) -> Value:
        texts, budget = first_texts(samples, self.k_or_1), self.budget or 1
        size = byte_count(texts)
        if size < budget:
            raise UnmeasurableError(f"needs {budget} bytes of text, there are {size}")
        return Value(compression_ratio(texts, budget), detail={"bytes": size})
