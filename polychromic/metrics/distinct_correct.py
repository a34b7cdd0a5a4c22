"""distinct-and-correct@k, the headline: how many different right answers do k samples hold?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from polychromic.core.facts import Role, write_signature
from polychromic.core.nouns import Measurement, SampleSet, Verdict
from polychromic.diversity.answers import distinct_at_k, label_counts
from polychromic.metrics._sets import (
    FirstK,
    Options,
    Value,
    Verdicts,
    at_least,
    measure_each,
    powers,
    right_answers,
    size_of,
)


@dataclass(frozen=True)
class DistinctCorrect(FirstK):
    """Expected number of different right answers among k samples, in [0, k]: diversity that is also right.

    ``sum_a 1 - C(n - n_a, k) / C(n, k)`` over the right answers; NaN for fewer than k samples. The detail ``share`` is
    the same divided by k. ``k`` of None is the number of samples that most sets have.
    """

    title: ClassVar[str] = "distinct and correct@{k}"
    role: ClassVar[Role] = Role.DIVERSITY
    direction: ClassVar[int] = 1
    headline: ClassVar[int] = 1
    needs: ClassVar[tuple[str, ...]] = ("verifier",)

    @classmethod
    def defaults(cls, n: int) -> Options:
        """Options for ``n`` samples a prompt, where an evaluation names no metrics."""
        return [{"k": k} for k in powers(n) if k > 1 or n == 1]

    @property
    def signature(self) -> str:
        """``distinct_correct|k:K``."""
        return write_signature("distinct_correct", k=self.k)

    def measure(self, sets: Sequence[SampleSet], verdicts: Verdicts) -> list[Measurement]:
        """One measurement for each set; the detail counts the right samples and their different answers."""
        metric = self.pinned(sets)
        return measure_each(metric.signature, sets, verdicts, metric._one)

    def _one(self, samples: SampleSet, verdicts: Sequence[Verdict] | None) -> Value:
        k = size_of(self.k)
        at_least(samples, k)
        answers = right_answers(verdicts)
        expected = distinct_at_k(answers, k)
        counts = label_counts(answers)
        return Value(expected, detail={"right": int(counts.sum()), "answers": len(counts), "share": expected / k})
