"""Algorithmic creativity: the share of samples that are right, new to the set and not in the training data."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

from polychromic.core.facts import Role, write_signature
from polychromic.core.nouns import Example, Measurement, SampleSet, Verdict
from polychromic.core.protocols import Task
from polychromic.metrics._sets import (
    OnTheShelf,
    Options,
    UnmeasurableError,
    Value,
    Verdicts,
    measure_each,
    passes,
    right_answers,
)
from polychromic.metrics.collision import canonical


@dataclass(frozen=True)
class Creativity(OnTheShelf):
    """Share in [0, 1] of the samples that are coherent (pass the checker), unique and not memorised (2504.15266).

    ``by`` names a sample by the checker's answer or by its stripped text. A set of samples is compared with itself and
    with all demonstrations; NaN without demonstrations.
    """

    title: ClassVar[str] = "algorithmic creativity"
    role: ClassVar[Role] = Role.DIVERSITY
    direction: ClassVar[int] = 1
    headline: ClassVar[int] = 0
    needs: ClassVar[tuple[str, ...]] = ("verifier", "demonstrations")

    by: Literal["answer", "text"] = "answer"
    demonstrations: Sequence[Example] = ()
    task: Task | None = None

    @classmethod
    def defaults(cls, n: int) -> Options:
        """Options for ``n`` samples a prompt, where an evaluation names no metrics."""
        return ({},)

    @property
    def signature(self) -> str:
        """``creativity|by:BY``."""
        return write_signature("creativity", by=self.by)

    def measure(self, sets: Sequence[SampleSet], verdicts: Verdicts) -> list[Measurement]:
        """One measurement for each set: new right samples over samples; the detail counts the steps."""
        task = self.task if self.by == "answer" else None
        known = {canonical(example, task) for example in self.demonstrations}

        def one(samples: SampleSet, judged: Sequence[Verdict] | None) -> Value:
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
