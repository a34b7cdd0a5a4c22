"""Gate: the task's verdict."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

from polychromic.core.errors import UnsoundObjectiveError
from polychromic.core.nouns import SampleSet, Verdict


@dataclass(frozen=True)
class Verifier:
    """A completion counts when the task passed it; one the task could not judge does not.

    ``truncated``: whether a completion that was cut off at the token limit may count.
    """

    needs: ClassVar[tuple[str, ...]] = ("verifier",)

    truncated: Literal["invalid", "valid"] = "invalid"

    def validity(self, samples: SampleSet, verdicts: Sequence[Verdict] | None) -> tuple[float, ...]:
        """1.0 or 0.0 for each completion; raises UnsoundObjectiveError without verdicts."""
        if verdicts is None:
            raise UnsoundObjectiveError(
                "the verifier gate needs a task that judges completions; allowed without: likelihood, wellformed, none"
            )
        whole = (self.truncated == "valid" or completion.finished for completion in samples.completions)
        return tuple(float(verdict.passed and ok) for verdict, ok in zip(verdicts, whole, strict=True))
