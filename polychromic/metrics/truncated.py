"""Share of completions that were cut off at the token limit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from polychromic.core.nouns import Measurement, SampleSet, Verdict
from polychromic.metrics._sets import Value, Verdicts, measure_each, sign


@dataclass(frozen=True)
class Truncated:
    """Share in [0, 1] of the samples that did not end by themselves; a high one spoils every other number."""

    @property
    def signature(self) -> str:
        """``truncated``."""
        return sign("truncated")

    def measure(self, sets: Sequence[SampleSet], verdicts: Verdicts) -> list[Measurement]:
        """One measurement for each set: cut-off samples over samples."""
        return measure_each(self.signature, sets, verdicts, self._one)

    def _one(self, samples: SampleSet, verdicts: Sequence[Verdict] | None) -> Value:
        cut = sum(not completion.finished for completion in samples.completions)
        return Value(cut, len(samples.completions), {"truncated": cut})
