"""distinct@k: how many different answers, right or wrong, do k samples hold?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

from polychromic.core.facts import Role, write_signature
from polychromic.core.nouns import Measurement, SampleSet, Verdict
from polychromic.diversity.answers import distinct_at_k, label_counts
from polychromic.metrics._sets import FirstK, Options, Value, Verdicts, all_answers, at_least, measure_each, size_of


@dataclass(frozen=True)
class DistinctAtK(FirstK):
    """Expected number of different labels among k samples, in [0, k]; NaN for fewer than k samples.

    ``by`` says what is counted: the checker's ``answer``, or the ``text`` without outer white space (an empty text
    counts for nothing). ``k`` of None is the number of samples that most sets have.
    """

    title: ClassVar[str] = "distinct answers@{k}"
    role: ClassVar[Role] = Role.DIVERSITY
    direction: ClassVar[int] = 1
    headline: ClassVar[int] = 0

    by: Literal["answer", "text"] = "answer"

    @property
    def needs(self) -> tuple[str, ...]:
        """A verifier to compare by answer."""
        return ("verifier",) if self.by == "answer" else ()

    @classmethod
    def defaults(cls, n: int) -> Options:
        """Options for ``n`` samples a prompt, where an evaluation names no metrics."""
        return ({"k": n, "by": "answer"}, {"k": n, "by": "text"})

    @property
    def signature(self) -> str:
        """``distinct_at_k|k:K|by:BY``."""
        return write_signature("distinct_at_k", k=self.k, by=self.by)

    def measure(self, sets: Sequence[SampleSet], verdicts: Verdicts) -> list[Measurement]:
        """One measurement for each set; the detail counts the labelled samples and the different labels."""
        metric = self.pinned(sets)
        return measure_each(metric.signature, sets, verdicts, metric._one)

    def _one(self, samples: SampleSet, verdicts: Sequence[Verdict] | None) -> Value:
        k = size_of(self.k)
        at_least(samples, k)
        texts = [text.strip() or None for text in samples.texts]
        labels = texts if self.by == "text" else all_answers(verdicts)
        counts = label_counts(labels)
        return Value(distinct_at_k(labels, k), detail={"labelled": int(counts.sum()), "labels": len(counts)})
