"""How many different answers samples hold: distinct and correct@k, the headline, and other counts of labels."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

from polychromic.core.facts import Role
from polychromic.core.nouns import Completion, Example, Measurement, SampleSet
from polychromic.core.protocols import Task
from polychromic.diversity.answers import collision, distinct_at_k, label_counts
from polychromic.metrics._sets import (
    Judged,
    KSamples,
    Options,
    PerSet,
    UnmeasurableError,
    Value,
    Verdicts,
    all_answers,
    at_least,
    measure_each,
    passes,
    powers,
    right_answers,
)

By = Literal["answer", "text"]
"""What names a sample: the checker's answer, or the text without outer white space (an empty text is no name)."""


@dataclass(frozen=True)
class DistinctCorrect(KSamples):
    """Expected number of different right answers among k samples, in [0, k]: diversity that is also right.

    ``sum_a 1 - C(n - n_a, k) / C(n, k)`` over the right answers; NaN for fewer than k samples. The detail ``share`` is
    the same divided by k. ``k`` of None is the number of samples that most sets have.
    """

    kind: ClassVar[str] = "distinct_correct"
    title: ClassVar[str] = "distinct and correct@{k}"
    role: ClassVar[Role] = Role.DIVERSITY
    direction: ClassVar[int] = 1
    headline: ClassVar[int] = 1
    subject: ClassVar[str] = "different right answers"
    _needs = ("verifier",)

    @classmethod
    def defaults(cls, n: int) -> Options:
        """A curve over k; of one sample it is pass@1."""
        return [{"k": k} for k in powers(n) if k > 1 or n == 1]

    def _value(self, samples: SampleSet, judged: Judged) -> Value:
        k = self.k_or_1
        at_least(samples, k)
        answers = right_answers(judged)
        expected = distinct_at_k(answers, k)
        counts = label_counts(answers)
        return Value(expected, detail={"right": int(counts.sum()), "answers": len(counts), "share": expected / k})


@dataclass(frozen=True)
class DistinctAtK(KSamples):
    """Expected number of different labels, right or wrong, among k samples, in [0, k]; NaN for fewer than k samples.

    ``by`` says what is counted. ``k`` of None is the number of samples that most sets have.
    """

    kind: ClassVar[str] = "distinct_at_k"
    title: ClassVar[str] = "distinct {by}s@{k}"
    role: ClassVar[Role] = Role.DIVERSITY
    direction: ClassVar[int] = 1
    subject: ClassVar[str] = "different {by}s"

    by: By = "answer"

    @property
    def needs(self) -> tuple[str, ...]:
        """A verifier to compare by answer."""
        return ("verifier",) if self.by == "answer" else ()

    @classmethod
    def defaults(cls, n: int) -> Options:
        """By answer and by text."""
        return ({"k": n, "by": "answer"}, {"k": n, "by": "text"})

    def _value(self, samples: SampleSet, judged: Judged) -> Value:
        k = self.k_or_1
        at_least(samples, k)
        labels = _stripped(samples) if self.by == "text" else all_answers(judged)
        counts = label_counts(labels)
        return Value(distinct_at_k(labels, k), detail={"labelled": int(counts.sum()), "labels": len(counts)})


@dataclass(frozen=True)
class Collision(PerSet):
    """Probability in [0, 1] that two different samples are equal, or its ratio to that of the data (1 = as diverse).

    ``by`` compares the checker's answers or the stripped texts; samples without one are left out. Relative to the data,
    the score over prompts is ``sum C(model) / sum C(data)``, which needs two demonstrations or more for a prompt.
    """

    kind: ClassVar[str] = "collision"
    title: ClassVar[str] = "collision probability"
    role: ClassVar[Role] = Role.DIVERSITY
    direction: ClassVar[int] = -1

    by: By = "answer"
    relative_to: Literal["nothing", "data"] = "nothing"
    demonstrations: Sequence[Example] = ()
    task: Task | None = None

    @property
    def needs(self) -> tuple[str, ...]:
        """A verifier to compare by answer, demonstrations to compare with the data."""
        return ("verifier",) * (self.by == "answer") + ("demonstrations",) * (self.relative_to == "data")

    def measure(self, sets: Sequence[SampleSet], verdicts: Verdicts) -> list[Measurement]:
        """One measurement for each set; NaN for fewer than two labelled samples or demonstrations."""
        data = self._demonstrated() if self.relative_to == "data" else {}

        def one(samples: SampleSet, judged: Judged) -> Value:
            labels = _stripped(samples) if self.by == "text" else all_answers(judged)
            labelled = sum(label is not None for label in labels)
            if labelled < 2:
                name = "an answer" if self.by == "answer" else "a text"
                raise UnmeasurableError(f"needs two samples with {name}, there are {labelled}")
            detail = {"labelled": labelled, "labels": len(set(labels) - {None})}
            if self.relative_to == "nothing":
                return Value(collision(labels), detail=detail)
            shown = data.get(samples.prompt.id, [])
            if len(shown) < 2:
                raise UnmeasurableError(f"needs two demonstrations of this prompt, there are {len(shown)}")
            return Value(collision(labels), collision(shown), detail | {"demonstrations": len(shown)})

        return measure_each(self.signature, sets, verdicts, one)

    def _demonstrated(self) -> dict[str, list[str]]:
        labels: dict[str, list[str]] = defaultdict(list)
        for example in self.demonstrations:
            label = _canonical(example, self.task if self.by == "answer" else None)
            if label is not None:
                labels[example.prompt.id].append(label)
        return labels


@dataclass(frozen=True)
class Creativity(PerSet):
    """Share in [0, 1] of the samples that are coherent (pass the checker), unique and not memorised (2504.15266).

    ``by`` names a sample by the checker's answer or by its stripped text. A set of samples is compared with itself and
    with all demonstrations; NaN without demonstrations.
    """

    kind: ClassVar[str] = "creativity"
    title: ClassVar[str] = "algorithmic creativity"
    role: ClassVar[Role] = Role.DIVERSITY
    direction: ClassVar[int] = 1
    _needs = ("verifier", "demonstrations")

    by: By = "answer"
    demonstrations: Sequence[Example] = ()
    task: Task | None = None

    def measure(self, sets: Sequence[SampleSet], verdicts: Verdicts) -> list[Measurement]:
        """One measurement for each set: new right samples over samples; the detail counts the steps."""
        task = self.task if self.by == "answer" else None
        known = {_canonical(example, task) for example in self.demonstrations}

        def one(samples: SampleSet, judged: Judged) -> Value:
            if not known:
                raise UnmeasurableError("there are no demonstrations to compare with")
            if self.by == "answer" and task is None:
                raise UnmeasurableError("needs the task to name the demonstrations' answers")
            right = passes(judged)
            texts = [text.strip() if ok else None for text, ok in zip(samples.texts, right, strict=True)]
            names = texts if self.by == "text" else right_answers(judged)
            unique = set(names) - {None}
            new = unique - known
            return Value(len(new), len(names), {"right": sum(right), "unique": len(unique), "new": len(new)})

        return measure_each(self.signature, sets, verdicts, one)


def _stripped(samples: SampleSet) -> list[str | None]:
    return [text.strip() or None for text in samples.texts]


def _canonical(example: Example, task: Task | None) -> str | None:
    """The demonstration's answer as the task names it, its stripped text without a task; None when it has none."""
    if task is None:
        return example.demonstration.strip() or None
    return task.verify(example.prompt, Completion(example.demonstration)).answer
