"""Gate: every completion counts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

from polychromic.core.nouns import SampleSet, Verdict


@dataclass(frozen=True)
class NoGate:
    """No quality condition: above ``2 * lambda_eff * C = 1`` junk pays.

    ``truncated``: whether a completion that was cut off at the token limit may count.
    """

    needs: ClassVar[tuple[str, ...]] = ()

    truncated: Literal["invalid", "valid"] = "invalid"

    def validity(self, samples: SampleSet, verdicts: Sequence[Verdict] | None) -> tuple[float, ...]:
        """1.0 for each completion, 0.0 for one that was cut off."""
        return tuple(float(self.truncated == "valid" or completion.finished) for completion in samples.completions)
