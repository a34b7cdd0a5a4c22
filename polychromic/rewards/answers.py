"""Reward: different answers, in the task's canonical form."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from polychromic.core.nouns import Labels, SampleSet, Verdict


@dataclass(frozen=True)
class Answers:
    """Each completion's answer: the verdict's canonical form, or without a task its text, case and spaces folded."""

    form: ClassVar[str] = "labels"
    needs: ClassVar[tuple[str, ...]] = ()

    def evidence(self, samples: SampleSet, verdicts: Sequence[Verdict] | None) -> Labels:
        """Labels; None for a completion without an answer (with a task: no canonical form; else: an empty text)."""
        if verdicts is not None:
            return Labels(tuple(verdict.answer for verdict in verdicts))
        return Labels(tuple(" ".join(text.casefold().split()) or None for text in samples.texts))
