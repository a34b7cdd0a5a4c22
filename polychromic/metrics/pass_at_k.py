"""pass@k: the chance that one of k samples is right."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from polychromic.core.facts import Role, write_signature
from polychromic.core.nouns import Measurement, SampleSet, Verdict
from polychromic.diversity.subsets import pass_at_k
from polychromic.metrics._sets import OnTheShelf, Options, Value, Verdicts, at_least, measure_each, passes, powers


@dataclass(frozen=True)
class PassAtK(OnTheShelf):
    """The unbiased pass@k of 2107.03374, ``1 - C(n-c, k) / C(n, k)``, in [0, 1]; NaN for fewer than k samples."""

    title: ClassVar[str] = "pass@{k}"
    role: ClassVar[Role] = Role.QUALITY
    direction: ClassVar[int] = 1
    headline: ClassVar[int] = 2
    needs: ClassVar[tuple[str, ...]] = ("verifier",)

    k: int = 1

    @classmethod
    def defaults(cls, n: int) -> Options:
        """Options for ``n`` samples a prompt, where an evaluation names no metrics."""
        return [{"k": k} for k in powers(n)]

    @property
    def signature(self) -> str:
        """``pass_at_k|k:K``."""
        return write_signature("pass_at_k", k=self.k)

    def measure(self, sets: Sequence[SampleSet], verdicts: Verdicts) -> list[Measurement]:
        """One measurement for each set; the detail says how many were right."""
        return measure_each(self.signature, sets, verdicts, self._one)

    def _one(self, samples: SampleSet, verdicts: Sequence[Verdict] | None) -> Value:
        n, right = at_least(samples, self.k), sum(passes(verdicts))
        return Value(float(pass_at_k(n, right, self.k)), detail={"right": right})
