"""Collision: the chance that two samples of a prompt are the same, alone or against the demonstrations'."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

from polychromic.core.facts import Role, write_signature
from polychromic.core.nouns import Completion, Example, Measurement, SampleSet, Verdict
from polychromic.core.protocols import Task
from polychromic.diversity.answers import collision
from polychromic.metrics._sets import OnTheShelf, Options, UnmeasurableError, Value, Verdicts, all_answers, measure_each


@dataclass(frozen=True)
class Collision(OnTheShelf):
    """Probability in [0, 1] that two different samples are equal, or its ratio to that of the data (1 = as diverse).

    ``by`` compares the checker's answers or the stripped texts; samples without one are left out. Relative to the data,
    the score over prompts is ``sum C(model) / sum C(data)``, which needs two demonstrations or more for a prompt.
    """

    title: ClassVar[str] = "collision probability"
    role: ClassVar[Role] = Role.DIVERSITY
    direction: ClassVar[int] = -1
    headline: ClassVar[int] = 0

    by: Literal["answer", "text"] = "answer"
    relative_to: Literal["nothing", "data"] = "nothing"
    demonstrations: Sequence[Example] = ()
    task: Task | None = None

    @property
    def needs(self) -> tuple[str, ...]:
        """A verifier to compare by answer, demonstrations to compare with the data."""
        return ("verifier",) * (self.by == "answer") + ("demonstrations",) * (self.relative_to == "data")

    @classmethod
    def defaults(cls, n: int) -> Options:
        """Options for ``n`` samples a prompt, where an evaluation names no metrics."""
        return ({},)

    @property
    def signature(self) -> str:
        """``collision|by:BY|relative_to:WHAT``."""
        return write_signature("collision", by=self.by, relative_to=self.relative_to)

    def measure(self, sets: Sequence[SampleSet], verdicts: Verdicts) -> list[Measurement]:
        """One measurement for each set; NaN for fewer than two labelled samples or demonstrations."""
        data = self._demonstrated() if self.relative_to == "data" else {}

        def one(samples: SampleSet, judged: Sequence[Verdict] | None) -> Value:
            texts = [text.strip() or None for text in samples.texts]
            labels = texts if self.by == "text" else all_answers(judged)
            labelled = sum(label is not None for label in labels)
            if labelled < 2:
                raise UnmeasurableError(f"needs two samples with {_a(self.by)}, there are {labelled}")
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
            label = canonical(example, self.task if self.by == "answer" else None)
            if label is not None:
                labels[example.prompt.id].append(label)
        return labels


def canonical(example: Example, task: Task | None) -> str | None:
    """The demonstration's answer as the task names it, its stripped text without a task; None when it has none."""
    if task is None:
        return example.demonstration.strip() or None
    return task.verify(example.prompt, Completion(example.demonstration)).answer


def _a(label: str) -> str:
    return "an answer" if label == "answer" else "a text"
