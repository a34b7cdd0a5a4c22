"""Length and truncation of the completions: they stand beside every diversity number, which they confound."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar, Literal, Self

from polychromic.core.facts import Role
from polychromic.core.nouns import SampleSet
from polychromic.diversity.tokenizers import words
from polychromic.metrics._sets import Judged, PerSet, UnmeasurableError, Value


@dataclass(frozen=True)
class Length(PerSet):
    """Mean length of a completion, at least 0, in tokens (with the end token), words or characters.

    ``unit`` of None: tokens when every sample has them, else words. The measurement is total length over samples; its
    detail holds the spread and the empty texts.
    """

    kind: ClassVar[str] = "length"
    title: ClassVar[str] = "length in {unit}"
    role: ClassVar[Role] = Role.LENGTH
    direction: ClassVar[int] = 0
    headline: ClassVar[int] = 7

    unit: Literal["tokens", "words", "chars"] | None = None

    def pinned(self, sets: Sequence[SampleSet]) -> Self:
        """The same metric with its unit fixed to what these sets can be measured in."""
        if self.unit is not None:
            return self
        tokens = all(completion.token_ids for item in sets for completion in item.completions)
        return replace(self, unit="tokens" if tokens else "words")

    def _value(self, samples: SampleSet, judged: Judged) -> Value:
        sizes = self._sizes(samples)
        spread = statistics.stdev(sizes) if len(sizes) > 1 else 0.0
        empty = sum(not text.strip() for text in samples.texts)
        detail = {"spread": spread, "shortest": min(sizes), "longest": max(sizes), "empty": empty}
        return Value(sum(sizes), len(sizes), detail)

    def _sizes(self, samples: SampleSet) -> list[int]:
        if self.unit == "chars":
            return [len(text) for text in samples.texts]
        if self.unit == "words":
            return [len(words(text)) for text in samples.texts]
        sizes = [len(completion.token_ids) for completion in samples.completions]
        without = sizes.count(0)
        if without:
            raise UnmeasurableError(f"{without} of {len(sizes)} samples have no token ids")
        return sizes


@dataclass(frozen=True)
class Truncated(PerSet):
    """Share in [0, 1] of the samples that did not end by themselves; a high one spoils every other number."""

    kind: ClassVar[str] = "truncated"
    title: ClassVar[str] = "truncated share"
    role: ClassVar[Role] = Role.LENGTH
    direction: ClassVar[int] = 0
    headline: ClassVar[int] = 8

    def _value(self, samples: SampleSet, judged: Judged) -> Value:
        cut = sum(not completion.finished for completion in samples.completions)
        return Value(cut, len(samples.completions), {"truncated": cut})
