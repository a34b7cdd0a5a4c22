"""pass^k: the chance that all of k samples are right."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from polychromic.core.nouns import Measurement, SampleSet, Verdict
from polychromic.diversity.subsets import pass_hat_k
from polychromic.metrics._sets import Value, Verdicts, at_least, measure_each, passes, sign


@dataclass(frozen=True)
class PassHatK:
    """``C(c, k) / C(n, k)`` in [0, 1] (2406.12045): reliability, not reach; NaN for fewer than k samples."""

    k: int = 1

    @property
    def signature(self) -> str:
        """``pass_hat_k|k:K``."""
        return sign("pass_hat_k", k=self.k)

    def measure(self, sets: Sequence[SampleSet], verdicts: Verdicts) -> list[Measurement]:
        """One measurement for each set; the detail says how many were right."""
        return measure_each(self.signature, sets, verdicts, self._one)

    def _one(self, samples: SampleSet, verdicts: Sequence[Verdict] | None) -> Value:
        n, right = at_least(samples, self.k), sum(passes(verdicts))
        return Value(float(pass_hat_k(n, right, self.k)), detail={"right": right})
