"""Expected draws until the first right sample: the cost of a solved prompt."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from polychromic.core.facts import Role, write_signature
from polychromic.core.nouns import Measurement, SampleSet, Verdict
from polychromic.diversity.subsets import expected_draws
from polychromic.metrics._sets import OnTheShelf, Options, Value, Verdicts, measure_each, passes


@dataclass(frozen=True)
class ExpectedDraws(OnTheShelf):
    """``(n+1) / (c+1)`` in [1, n+1]: draws without replacement to the first right one; n + 1 when none of the n is."""

    title: ClassVar[str] = "expected draws to a pass"
    role: ClassVar[Role] = Role.OTHER
    direction: ClassVar[int] = -1
    headline: ClassVar[int] = 0
    needs: ClassVar[tuple[str, ...]] = ("verifier",)

    @classmethod
    def defaults(cls, n: int) -> Options:
        """Options for ``n`` samples a prompt, where an evaluation names no metrics."""
        return ({},)

    @property
    def signature(self) -> str:
        """``expected_draws``; grows with n where nothing is right, so compare equal n (in the detail)."""
        return write_signature("expected_draws")

    def measure(self, sets: Sequence[SampleSet], verdicts: Verdicts) -> list[Measurement]:
        """One measurement for each set; the detail says how many were right."""
        return measure_each(self.signature, sets, verdicts, self._one)

    def _one(self, samples: SampleSet, verdicts: Sequence[Verdict] | None) -> Value:
        right = sum(passes(verdicts))
        return Value(float(expected_draws(len(samples.completions), right)), detail={"right": right})
