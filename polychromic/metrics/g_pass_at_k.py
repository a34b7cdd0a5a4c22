"""G-Pass@k: the chance that a given share of k samples is right."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from polychromic.core.errors import InputError
from polychromic.core.nouns import Measurement, SampleSet, Verdict
from polychromic.diversity.subsets import g_pass_at_k
from polychromic.metrics._sets import Value, Verdicts, at_least, measure_each, passes, sign


@dataclass(frozen=True)
class GPassAtK:
    """Chance in [0, 1] that at least ``ceil(tau k)`` of k samples are right (2412.13147); NaN for fewer than k."""

    k: int = 4
    tau: float = 0.5

    def __post_init__(self) -> None:
        if not 0.0 < self.tau <= 1.0:
            raise InputError(f"tau must lie in (0, 1], not {self.tau}")

    @property
    def signature(self) -> str:
        """``g_pass_at_k|k:K|tau:TAU``."""
        return sign("g_pass_at_k", k=self.k, tau=self.tau)

    def measure(self, sets: Sequence[SampleSet], verdicts: Verdicts) -> list[Measurement]:
        """One measurement for each set; the detail says how many were right."""
        return measure_each(self.signature, sets, verdicts, self._one)

    def _one(self, samples: SampleSet, verdicts: Sequence[Verdict] | None) -> Value:
        n, right = at_least(samples, self.k), sum(passes(verdicts))
        return Value(g_pass_at_k(n, right, self.k, self.tau), detail={"right": right})
