"""pass^k: the chance that all of k samples are right."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from polychromic.core.facts import Role, write_signature
from polychromic.core.nouns import Measurement, SampleSet, Verdict
from polychromic.diversity.subsets import pass_hat_k
from polychromic.metrics._sets import OnTheShelf, Options, Value, Verdicts, at_least, measure_each, passes


@dataclass(frozen=True)
class PassHatK(OnTheShelf):
    """``C(c, k) / C(n, k)`` in [0, 1] (2406.12045): reliability, not reach; NaN for fewer than k samples."""

    title: ClassVar[str] = "pass^{k}"
    role: ClassVar[Role] = Role.QUALITY
    direction: ClassVar[int] = 1
    headline: ClassVar[int] = 0
    needs: ClassVar[tuple[str, ...]] = ("verifier",)

    k: int = 1

    @classmethod
    def defaults(cls, n: int) -> Options:
        """Options for ``n`` samples a prompt, where an evaluation names no metrics."""
        return ({"k": min(4, n)},)

    @property
    def signature(self) -> str:
        """``pass_hat_k|k:K``."""
        return write_signature("pass_hat_k", k=self.k)

    def measure(self, sets: Sequence[SampleSet], verdicts: Verdicts) -> list[Measurement]:
        """One measurement for each set; the detail says how many were right."""
        return measure_each(self.signature, sets, verdicts, self._one)

    def _one(self, samples: SampleSet, verdicts: Sequence[Verdict] | None) -> Value:
        n, right = at_least(samples, self.k), sum(passes(verdicts))
        return Value(float(pass_hat_k(n, right, self.k)), detail={"right": right})
