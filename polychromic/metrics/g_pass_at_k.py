"""G-Pass@k: the chance that a given share of k samples is right."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from polychromic.core.errors import InputError
from polychromic.core.facts import Role, write_signature
from polychromic.core.nouns import Measurement, SampleSet, Verdict
from polychromic.diversity.subsets import g_pass_at_k
from polychromic.metrics._sets import OnTheShelf, Options, Value, Verdicts, at_least, measure_each, passes


@dataclass(frozen=True)
class GPassAtK(OnTheShelf):
    """Chance in [0, 1] that at least ``ceil(tau k)`` of k samples are right (2412.13147); NaN for fewer than k."""

    title: ClassVar[str] = "G-pass@{k} (tau {tau})"
    role: ClassVar[Role] = Role.QUALITY
    direction: ClassVar[int] = 1
    headline: ClassVar[int] = 0
    needs: ClassVar[tuple[str, ...]] = ("verifier",)

    k: int = 4
    tau: float = 0.5

    def __post_init__(self) -> None:
        if not 0.0 < self.tau <= 1.0:
            raise InputError(f"tau must lie in (0, 1], not {self.tau}")

    @classmethod
    def defaults(cls, n: int) -> Options:
        """Options for ``n`` samples a prompt, where an evaluation names no metrics."""
        return ({"k": n, "tau": 0.5},)

    @property
    def signature(self) -> str:
        """``g_pass_at_k|k:K|tau:TAU``."""
        return write_signature("g_pass_at_k", k=self.k, tau=self.tau)

    def measure(self, sets: Sequence[SampleSet], verdicts: Verdicts) -> list[Measurement]:
        """One measurement for each set; the detail says how many were right."""
        return measure_each(self.signature, sets, verdicts, self._one)

    def _one(self, samples: SampleSet, verdicts: Sequence[Verdict] | None) -> Value:
        n, right = at_least(samples, self.k), sum(passes(verdicts))
        return Value(g_pass_at_k(n, right, self.k, self.tau), detail={"right": right})
