"""NoveltyBench's distinct_k and utility_k: how many functionally different answers does a user get?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Literal, Self

from polychromic.core.errors import InputError
from polychromic.core.facts import Role
from polychromic.core.nouns import Measurement, SampleSet
from polychromic.diversity.kernels import ROUNDING, greedy_partition
from polychromic.diversity.novelty import PATIENCE, distinct_k, utility_k
from polychromic.metrics._sets import (
    Judged,
    Options,
    UnmeasurableError,
    Value,
    Verdicts,
    all_answers,
    first_texts,
    given_scores,
    measure_each,
    passes,
)
from polychromic.metrics._vectors import OfVectors, embedder_name


@dataclass(frozen=True)
class Noveltybench(OfVectors):
    """Classes among the first k completions, greedily partitioned against each class's first member (2504.05228).

    ``score`` distinct counts the classes, in [0, k]; utility discounts each new class's quality by the patience 0.8.
    The quality is the ``score`` that a foreign file came with, on that file's scale, or the ``verdict`` (1 right, 0
    wrong); None is the score where there are scores. ``same_by`` says what makes two completions one class: the
    checker's answer (right or wrong), the stripped text, or a cosine distance up to ``threshold`` (distinct only). A
    completion without an answer or text belongs to no class: failing is no novelty.
    """

    kind: ClassVar[str] = "noveltybench"
    title: ClassVar[str] = "NoveltyBench {score}"
    role: ClassVar[Role] = Role.DIVERSITY
    direction: ClassVar[int] = 1

    score: Literal["distinct", "utility"] = "distinct"
    same_by: Literal["answer", "text", "embedding"] = "text"
    patience: float = PATIENCE
    threshold: float = 0.3
    quality: Literal["verdict", "score"] | None = None

    def __post_init__(self) -> None:
        if self.score == "utility" and self.same_by == "embedding":
            raise InputError("noveltybench: utility needs same_by answer or text")

    @property
    def needs(self) -> tuple[str, ...]:
        """A verifier for answers and utility, an encoder for embeddings."""
        judged = self.same_by == "answer" or (self.score == "utility" and self.quality != "score")
        return ("verifier",) * judged + ("encoder",) * (self.same_by == "embedding")

    @classmethod
    def defaults(cls, n: int) -> Options:
        """Classes by text, and the utility of classes by answer."""
        return ({"k": n, "same_by": "text"}, {"k": n, "same_by": "answer", "score": "utility"})

    def pinned(self, sets: Sequence[SampleSet]) -> Self:
        """The same metric with its k and quality fixed to what these sets have in common."""
        metric = super().pinned(sets)
        if metric.score != "utility" or metric.quality is not None:
            return metric
        return replace(metric, quality="score" if any(map(given_scores, sets)) else "verdict")

    def measure(self, sets: Sequence[SampleSet], verdicts: Verdicts) -> list[Measurement]:
        """One measurement for each set; the detail counts the classes."""
        metric = self.pinned(sets)
        if metric.same_by == "embedding":
            return metric.encoded(metric.signature, sets, metric._of_vectors)
        return measure_each(metric.signature, sets, verdicts, metric._value)

    def _options(self) -> dict[str, Any]:
        options: dict[str, Any] = {"score": self.score, "same_by": self.same_by, "k": self.k}
        if self.score == "utility":
            options["patience"] = self.patience
            options |= {"quality": "score"} if self.quality == "score" else {}
        if self.same_by == "embedding":
            options |= {"threshold": self.threshold, "encoder": embedder_name(self.embedder)}
        return options

    def _value(self, samples: SampleSet, judged: Judged) -> Value:
        texts = first_texts(samples, self.k_or_1)
        classes: list[str | None] = [text.strip() or None for text in texts]
        if self.same_by == "answer":
            classes = all_answers(judged)[: len(texts)]
        count = distinct_k(classes)
        if self.score == "distinct":
            return Value(count, detail={"classes": count})
        qualities = self._qualities(samples, judged)[: len(texts)]
        return Value(utility_k(classes, qualities, self.patience), detail={"classes": count, "worth": sum(qualities)})

    def _qualities(self, samples: SampleSet, judged: Judged) -> list[float]:
        if self.quality != "score":
            return [float(right) for right in passes(judged)]
        scores = given_scores(samples) or [None]
        if None in scores:
            raise UnmeasurableError("a sample has no score")
        return list(map(float, scores))

    def _of_vectors(self, vectors: Any) -> Value:
        near = vectors @ vectors.T >= 1.0 - self.threshold - ROUNDING
        count = distinct_k(greedy_partition(len(vectors), lambda one, other: bool(near[one, other])))
        return Value(count, detail={"classes": count})
