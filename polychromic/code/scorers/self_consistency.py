"""Candidates vote: what most of them answer is probably right (2203.11171)."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from polychromic.code.candidates import Candidates


@dataclass(frozen=True)
class SelfConsistency:
    """The share of the candidates that give the same answer: for programs the same outputs on the test inputs.

    It never looks at whether an answer is right. A program without outputs has no vote and score 0.
    """

    def scores(self, candidates: Candidates) -> tuple[float, ...]:
        """Shares in [0, 1]."""
        labels = candidates.labels()
        votes = Counter(label for label in labels if label is not None)
        return tuple(votes[label] / len(labels) if label is not None else 0.0 for label in labels)
