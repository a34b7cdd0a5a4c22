"""Length of the completions: it stands beside every diversity number, which it confounds."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar, Literal

from polychromic.core.facts import Role, write_signature
from polychromic.core.nouns import Measurement, SampleSet, Verdict
from polychromic.diversity.ngrams import words
from polychromic.metrics._sets import OnTheShelf, Options, UnmeasurableError, Value, Verdicts, measure_each


@dataclass(frozen=True)
class Length(OnTheShelf):
    """Mean length of a completion, at least 0, in tokens (with the end token), words or characters.

    ``unit`` of None: tokens when every sample has them, else words. The detail holds the spread and the empty texts.
    """

    title: ClassVar[str] = "length in {unit}"
    role: ClassVar[Role] = Role.LENGTH
    direction: ClassVar[int] = 0
    headline: ClassVar[int] = 7
    needs: ClassVar[tuple[str, ...]] = ()

    unit: Literal["tokens", "words", "chars"] | None = None

    @classmethod
    def defaults(cls, n: int) -> Options:
        """Options for ``n`` samples a prompt, where an evaluation names no metrics."""
        return ({},)

    @property
    def signature(self) -> str:
        """``length|unit:UNIT``."""
        return write_signature("length", unit=self.unit)

    def pinned(self, sets: Sequence[SampleSet]) -> Length:
        """The same metric with its unit fixed to what these sets can be measured in."""
        if self.unit is not None:
            return self
        tokens = all(completion.token_ids for item in sets for completion in item.completions)
        return replace(self, unit="tokens" if tokens else "words")

    def measure(self, sets: Sequence[SampleSet], verdicts: Verdicts) -> list[Measurement]:
        """One measurement for each set: total length over samples."""
        metric = self.pinned(sets)
        return measure_each(metric.signature, sets, verdicts, metric._one)

    def _one(self, samples: SampleSet, verdicts: Sequence[Verdict] | None) -> Value:
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
