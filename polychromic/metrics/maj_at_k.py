"""maj@k: the chance that the most frequent answer of k samples is right."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from polychromic.core.facts import Role, write_signature
from polychromic.core.nouns import Measurement, SampleSet, Verdict
from polychromic.diversity.answers import majority_at_k
from polychromic.metrics._sets import (
    FirstK,
    Options,
    UnmeasurableError,
    Value,
    Verdicts,
    all_answers,
    at_least,
    measure_each,
    passes,
    size_of,
)


@dataclass(frozen=True)
class MajAtK(FirstK):
    """Chance in [0, 1] that a vote among k samples is won by a right answer: exact over subsets, ties by an even draw.

    Needs a checker that names wrong answers too; one that names only right ones leaves nothing to vote about, and the
    measurement says so. ``k`` of None is the number of samples that most sets have.
    """

    title: ClassVar[str] = "maj@{k}"
    role: ClassVar[Role] = Role.QUALITY
    direction: ClassVar[int] = 1
    headline: ClassVar[int] = 0
    needs: ClassVar[tuple[str, ...]] = ("verifier",)

    @classmethod
    def defaults(cls, n: int) -> Options:
        """Options for ``n`` samples a prompt, where an evaluation names no metrics."""
        return ({"k": n},)

    @property
    def signature(self) -> str:
        """``maj_at_k|k:K``."""
        return write_signature("maj_at_k", k=self.k)

    def measure(self, sets: Sequence[SampleSet], verdicts: Verdicts) -> list[Measurement]:
        """One measurement for each set; the detail counts right samples and votes."""
        metric = self.pinned(sets)
        wrong = [verdict for row in verdicts or () for verdict in row if not verdict.passed]
        one_sided = bool(wrong) and all(verdict.answer is None for verdict in wrong)

        def one(samples: SampleSet, judged: Sequence[Verdict] | None) -> Value:
            right, answers = passes(judged), all_answers(judged)
            if one_sided:
                raise UnmeasurableError("the checker names right answers only, so there is no vote")
            k = size_of(metric.k)
            at_least(samples, k)
            votes = sum(answer is not None for answer in answers)
            return Value(majority_at_k(answers, right, k), detail={"right": sum(right), "votes": votes})

        return measure_each(metric.signature, sets, verdicts, one)
