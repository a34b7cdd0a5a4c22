"""best-of-k: the quality of the sample that a scorer picks among k."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Literal, Self

from polychromic.core.facts import Role, write_signature
from polychromic.core.nouns import Measurement, SampleSet, Verdict
from polychromic.diversity.subsets import best_of_k, pass_at_k
from polychromic.metrics._sets import (
    FirstK,
    Options,
    UnmeasurableError,
    Value,
    Verdicts,
    at_least,
    measure_each,
    passes,
    size_of,
)

Scorer = Literal["logprob", "mean_logprob", "score", "long", "short"]


@dataclass(frozen=True)
class BestOfK(FirstK):
    """Chance in [0, 1] that the pick of a scorer among k samples is right; ties share their place.

    Scorers: the sample's ``logprob`` or ``mean_logprob`` (per token), the ``score`` a foreign file came with (in the
    payload's ``scores``), or the ``long``est or ``short``est text; None is the score where there are scores, else the
    mean log-probability. The detail holds what a perfect scorer would reach
    (``oracle``, pass@k), the gap to it, and the selection efficiency ``(bo@k - pass@1) / (pass@k - pass@1)``.
    """

    title: ClassVar[str] = "best-of-{k}"
    role: ClassVar[Role] = Role.QUALITY
    direction: ClassVar[int] = 1
    headline: ClassVar[int] = 0
    needs: ClassVar[tuple[str, ...]] = ("verifier",)

    scorer: Scorer | None = None

    def pinned(self, sets: Sequence[SampleSet]) -> Self:
        """The same metric with its k and scorer fixed to what these sets have in common."""
        metric = super().pinned(sets)
        if metric.scorer is not None:
            return metric
        return replace(metric, scorer="score" if any(map(_given, sets)) else "mean_logprob")

    @classmethod
    def defaults(cls, n: int) -> Options:
        """Options for ``n`` samples a prompt, where an evaluation names no metrics."""
        return ({"k": n},)

    @property
    def signature(self) -> str:
        """``best_of_k|k:K|scorer:SCORER``."""
        return write_signature("best_of_k", k=self.k, scorer=self.scorer)

    def measure(self, sets: Sequence[SampleSet], verdicts: Verdicts) -> list[Measurement]:
        """One measurement for each set; NaN where a sample has no score."""
        metric = self.pinned(sets)
        return measure_each(metric.signature, sets, verdicts, metric._one)

    def _one(self, samples: SampleSet, verdicts: Sequence[Verdict] | None) -> Value:
        k = size_of(self.k)
        n, right = at_least(samples, k), passes(verdicts)
        scores = _scores(samples, self.scorer)
        picked = best_of_k(scores, [float(ok) for ok in right], k)
        oracle, blind = float(pass_at_k(n, sum(right), k)), sum(right) / n
        detail = {"right": sum(right), "oracle": oracle, "oracle_gap": oracle - picked}
        if oracle > blind:
            detail["efficiency"] = (picked - blind) / (oracle - blind)
        return Value(picked, detail=detail)


def _given(samples: SampleSet) -> Any:
    """The scores that a foreign file came with, None without."""
    return samples.prompt.payload.get("scores")


def _scores(samples: SampleSet, scorer: Scorer | None) -> list[float]:
    if scorer in ("long", "short"):
        return [len(text) * (1.0 if scorer == "long" else -1.0) for text in samples.texts]
    if scorer == "score":
        given = _given(samples) or [None] * len(samples.completions)
    else:
        given = [completion.logprob for completion in samples.completions]
        if scorer == "mean_logprob":
            sizes = [len(completion.token_ids) for completion in samples.completions]
            given = [None if x is None or not size else x / size for x, size in zip(given, sizes, strict=True)]
    if len(given) != len(samples.completions):
        raise UnmeasurableError(f"there are {len(given)} scores for {len(samples.completions)} samples")
    missing = sum(score is None or math.isnan(score) for score in given)
    if missing:
        raise UnmeasurableError(f"{missing} of {len(given)} samples have no {scorer}")
    return [float(score) for score in given]
