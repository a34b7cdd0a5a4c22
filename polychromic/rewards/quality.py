"""Reward: quality times diversity."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

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

    form: ClassVar[str] = "set function"

    of: str | Mapping[str, Any] = "lexical"
    embedder: Embedder | None = None
    _inner: Reward = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_inner", build("rewards", self.of, embedder=self.embedder))

    @property
    def needs(self) -> tuple[str, ...]:
        """A verifier, and what the inner reward needs."""
        return ("verifier", *(need for need in self._inner.needs if need != "verifier"))

    def evidence(self, samples: SampleSet, verdicts: Sequence[Verdict] | None) -> SetFunction:
        """A set function in [0, 1]; raises UnsoundObjectiveError without verdicts."""
        if verdicts is None:
            raise UnsoundObjectiveError("the quality reward needs a task that judges completions")
        diversity = as_set_function(self._inner.evidence(samples, verdicts))
        passed = [verdict.passed for verdict in verdicts]

        def value(members: Sequence[int], size: int) -> float:
            return sum(passed[i] for i in members) / size * diversity.value(members, size)

        return SetFunction(value, len(passed))
