"""What a scorer sees of one prompt: its candidates, and of the verdicts only what needs no right answer."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

from polychromic.code.problems import Problem
from polychromic.code.python_ast import normalised
from polychromic.code.verifier import Judging, behaviour, extraction
from polychromic.core.nouns import SampleSet, Verdict


class Candidates(NamedTuple):
    """One prompt's samples with their verdicts; ``problem`` when the task judges programs."""

    samples: SampleSet
    verdicts: Sequence[Verdict]
    problem: Problem | None = None
    judging: Judging = Judging()

    def sources(self) -> list[str]:
        """Each candidate's program, or its text when the task judges no programs."""
        if self.problem is None:
            return list(self.samples.texts)
        return [extraction(self.problem, item, self.judging).source for item in self.samples.completions]

    def identities(self) -> list[str]:
        """What makes candidates identical: the normalised program, else the text without outer whitespace."""
        if self.problem is None:
            return [" ".join(text.split()) for text in self.samples.texts]
        return [normalised(source) or source.strip() for source in self.sources()]

    def labels(self) -> list[str | None]:
        """What each candidate answers, known without a checker: a program's behaviour, else its text.

        None when a program has no behaviour.
        """
        if self.problem is None:
            return [identity or None for identity in self.identities()]
        return [behaviour(verdict) for verdict in self.verdicts]


def unknown(candidates: Candidates) -> tuple[float, ...]:
    """The scores of a scorer that cannot tell."""
    return (math.nan,) * len(candidates.samples.completions)
