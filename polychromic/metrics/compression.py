"""Compression ratio of a set of completions at an equal number of bytes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar, Self

from polychromic.core.facts import Role, write_signature
from polychromic.core.nouns import Measurement, SampleSet
from polychromic.diversity.compression import byte_count, compression_ratio
from polychromic.metrics._sets import FirstK, Options, UnmeasurableError, Value, Verdicts, first_texts, size_of
from polychromic.metrics._texts import measure_grams

FLOOR = 64
"""Sets with fewer bytes do not set the common budget; they have no measurement."""


@dataclass(frozen=True)
class Compression(FirstK):
    """Bytes before over bytes after zlib for ``budget`` bytes of the first k completions; high = redundant.

    ``budget`` of None is the smallest number of bytes that any set has (of at least 64), ``k`` of None the number of
    samples that most sets have. NaN for fewer bytes; numbers of different budgets may not be compared.
    """

    title: ClassVar[str] = "compression ratio"
    role: ClassVar[Role] = Role.DIVERSITY
    direction: ClassVar[int] = -1
    headline: ClassVar[int] = 0
    needs: ClassVar[tuple[str, ...]] = ()

    budget: int | None = None

    @classmethod
    def defaults(cls, n: int) -> Options:
        """Options for ``n`` samples a prompt, where an evaluation names no metrics."""
        return ({"k": n},)

    @property
    def signature(self) -> str:
        """``compression|zlib:9|k:K|bytes:BUDGET|scope:prompt``."""
        return write_signature("compression", zlib=9, k=self.k, bytes=self.budget, scope="prompt")

    def pinned(self, sets: Sequence[SampleSet]) -> Self:
        """The same metric with its k and budget fixed to what these sets have in common."""
        metric = super().pinned(sets)
        if metric.budget is not None:
            return metric
        sizes = [byte_count(item.texts[: metric.k]) for item in sets if len(item.completions) >= size_of(metric.k)]
        return replace(metric, budget=min((size for size in sizes if size >= FLOOR), default=FLOOR))

    def measure(self, sets: Sequence[SampleSet], verdicts: Verdicts) -> list[Measurement]:
        """One measurement for each set; the detail holds the bytes it had."""
        metric = self.pinned(sets)
        return measure_grams(metric.signature, sets, verdicts, metric._one)

    def _one(self, samples: SampleSet) -> Value:
        texts, budget = first_texts(samples, size_of(self.k)), self.budget or 1
        size = byte_count(texts)
        if size < budget:
            raise UnmeasurableError(f"needs {budget} bytes of text, there are {size}")
        return Value(compression_ratio(texts, budget), detail={"bytes": size})
