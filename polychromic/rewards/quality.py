"""Reward: quality times diversity."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from polychromic.core.errors import UnsoundObjectiveError
from polychromic.core.nouns import SampleSet, SetFunction, Verdict
from polychromic.core.protocols import Embedder, Reward
from polychromic.rewards.mixture import as_set_function
from polychromic.settings.catalog import build


@dataclass(frozen=True)
class Quality:
    """The share of the set that the task passed, times another reward ``of`` the same set.

    Unlike a gate it leaves a wrong completion's novelty in the second factor, so that early in a run, when almost
    nothing passes, there is still a signal.
    """

    of: str | Mapping[str, Any] = "lexical"
    embedder: Embedder | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "_inner", build("rewards", self.of, embedder=self.embedder))

    def evidence(self, samples: SampleSet, verdicts: Sequence[Verdict] | None) -> SetFunction:
        """A set function in [0, 1]; raises UnsoundObjectiveError without verdicts."""
        if verdicts is None:
            raise UnsoundObjectiveError("the quality reward needs a task that judges completions")
        inner: Reward = self._inner  # type: ignore[attr-defined]
        diversity = as_set_function(inner.evidence(samples, verdicts))
        passed = [verdict.passed for verdict in verdicts]

        def value(members: Sequence[int], size: int) -> float:
            return sum(passed[i] for i in members) / size * diversity.value(members, size)

        return SetFunction(value, len(passed))
