"""Share of completions that were cut off at the token limit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from polychromic.core.facts import Role, write_signature
from polychromic.core.nouns import Measurement, SampleSet, Verdict
from polychromic.metrics._sets import OnTheShelf, Options, Value, Verdicts, measure_each


@dataclass(frozen=True)
class Truncated(OnTheShelf):
    """Share in [0, 1] of the samples that did not end by themselves; a high one spoils every other number."""

    title: ClassVar[str] = "truncated share"
    role: ClassVar[Role] = Role.LENGTH
    direction: ClassVar[int] = 0
    headline: ClassVar[int] = 8
    needs: ClassVar[tuple[str, ...]] = ()

    @classmethod
    def defaults(cls, n: int) -> Options:
        """Options for ``n`` samples a prompt, where an evaluation names no metrics."""
        return ({},)

    @property
    def signature(self) -> str:
        """``truncated``."""
        return write_signature("truncated")

    def measure(self, sets: Sequence[SampleSet], verdicts: Verdicts) -> list[Measurement]:
        """One measurement for each set: cut-off samples over samples."""
        return measure_each(self.signature, sets, verdicts, self._one)

    def _one(self, samples: SampleSet, verdicts: Sequence[Verdict] | None) -> Value:
        cut = sum(not completion.finished for completion in samples.completions)
        return Value(cut, len(samples.completions), {"truncated": cut})
