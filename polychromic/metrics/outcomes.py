"""How often samples are right: pass@k and its kin, the vote, the pick of a scorer, the draws to a first pass."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar, Literal, Self

import numpy as np

from polychromic.core.errors import InputError
from polychromic.core.facts import Role
from polychromic.core.nouns import Measurement, SampleSet
from polychromic.diversity.answers import majority_at_k
from polychromic.diversity.subsets import best_of_k, expected_draws, g_pass_at_k, pass_at_k, pass_hat_k
from polychromic.metrics._sets import (
    Judged,
    KSamples,
    Options,
    PerSet,
    UnmeasurableError,
    Value,
    Verdicts,
    all_answers,
    at_least,
    given_scores,
    measure_each,
    passes,
    powers,
)

VERIFIER = ("verifier",)


@dataclass(frozen=True)
class _OfCounts(PerSet):
    """A chance in [0, 1] that follows from how many of a set's samples are right: a kind adds ``_chance``."""

    role: ClassVar[Role] = Role.QUALITY
    direction: ClassVar[int] = 1
    _needs = VERIFIER

    k: int = 1

    def _value(self, samples: SampleSet, judged: Judged) -> Value:
        n, right = at_least(samples, self.k), sum(passes(judged))
        return Value(self._chance(n, right), detail={"right": right})

    def _chance(self, n: int, right: int) -> float:
        raise NotImplementedError


@dataclass(frozen=True)
class PassAtK(_OfCounts):
    """The unbiased pass@k of 2107.03374, ``1 - C(n-c, k) / C(n, k)``, in [0, 1]; NaN for fewer than k samples."""

    kind: ClassVar[str] = "pass_at_k"
    title: ClassVar[str] = "pass@{k}"
    headline: ClassVar[int] = 2

    @classmethod
    def defaults(cls, n: int) -> Options:
        """A curve over k, with k = 10 where there are as many samples."""
        return [{"k": k} for k in sorted({*powers(n), *([10] if n >= 10 else [])})]

    def _chance(self, n: int, right: int) -> float:
        return float(pass_at_k(n, right, self.k))


@dataclass(frozen=True)
class PassHatK(_OfCounts):
    """``C(c, k) / C(n, k)`` in [0, 1] (2406.12045): reliability, not reach; NaN for fewer than k samples."""

    kind: ClassVar[str] = "pass_hat_k"
    title: ClassVar[str] = "pass^{k}"

    @classmethod
    def defaults(cls, n: int) -> Options:
        """All of four."""
        return ({"k": min(4, n)},)

    def _chance(self, n: int, right: int) -> float:
        return float(pass_hat_k(n, right, self.k))


@dataclass(frozen=True)
class GPassAtK(_OfCounts):
    """Chance in [0, 1] that at least ``ceil(tau k)`` of k samples are right (2412.13147); NaN for fewer than k."""

    kind: ClassVar[str] = "g_pass_at_k"
    title: ClassVar[str] = "G-pass@{k} (tau {tau})"

    k: int = 4
    tau: float = 0.5

    def __post_init__(self) -> None:
        if not 0.0 < self.tau <= 1.0:
            raise InputError(f"tau must lie in (0, 1], not {self.tau}")

    @classmethod
    def defaults(cls, n: int) -> Options:
        """Half of all samples."""
        return ({"k": n, "tau": 0.5},)

    def _chance(self, n: int, right: int) -> float:
        return g_pass_at_k(n, right, self.k, self.tau)


@dataclass(frozen=True)
class MajAtK(KSamples):
    """Chance in [0, 1] that a vote among k samples is won by a right answer: exact over subsets, ties by an even draw.

    Needs a checker that names wrong answers too; one that names only right ones leaves nothing to vote about, and the
    measurement says so. ``k`` of None is the number of samples that most sets have.
    """

    kind: ClassVar[str] = "maj_at_k"
    title: ClassVar[str] = "maj@{k}"
    role: ClassVar[Role] = Role.QUALITY
    direction: ClassVar[int] = 1
    _needs = VERIFIER

    def measure(self, sets: Sequence[SampleSet], verdicts: Verdicts) -> list[Measurement]:
        """One measurement for each set; the detail counts right samples and votes."""
        metric = self.pinned(sets)
        wrong = [verdict for row in verdicts or () for verdict in row if not verdict.passed]
        one_sided = bool(wrong) and all(verdict.answer is None for verdict in wrong)

        def one(samples: SampleSet, judged: Judged) -> Value:
            right, answers = passes(judged), all_answers(judged)
            if one_sided:
                raise UnmeasurableError("the checker names right answers only, so there is no vote")
            k = metric.k_or_1
            at_least(samples, k)
            votes = sum(answer is not None for answer in answers)
            return Value(majority_at_k(answers, right, k), detail={"right": sum(right), "votes": votes})

        return measure_each(metric.signature, sets, verdicts, one)


Scorer = Literal["logprob", "mean_logprob", "score", "long", "short"]


@dataclass(frozen=True)
class BestOfK(KSamples):
    """Chance in [0, 1] that the pick of a scorer among k samples is right; ties share their place.

    Scorers: the sample's ``logprob`` or ``mean_logprob`` (per token), the ``score`` a foreign file came with (in the
    payload's ``scores``), or the ``long``est or ``short``est text; None is the score where there are scores, else the
    mean log-probability. The detail holds what a perfect scorer would reach (``oracle``, pass@k), the gap to it, and
    the selection efficiency ``(bo@k - pass@1) / (pass@k - pass@1)``.
    """

    kind: ClassVar[str] = "best_of_k"
    title: ClassVar[str] = "best-of-{k}"
    role: ClassVar[Role] = Role.QUALITY
    direction: ClassVar[int] = 1
    _needs = VERIFIER

    scorer: Scorer | None = None

    def pinned(self, sets: Sequence[SampleSet]) -> Self:
        """The same metric with its k and scorer fixed to what these sets have in common."""
        metric = super().pinned(sets)
        if metric.scorer is not None:
            return metric
        return replace(metric, scorer="score" if any(map(given_scores, sets)) else "mean_logprob")

    def _value(self, samples: SampleSet, judged: Judged) -> Value:
        k = self.k_or_1
        n, right = at_least(samples, k), passes(judged)
        scores = _scores(samples, self.scorer)
        picked = best_of_k(scores, [float(ok) for ok in right], k)
        oracle, blind = float(pass_at_k(n, sum(right), k)), sum(right) / n
        detail = {"right": sum(right), "oracle": oracle, "oracle_gap": oracle - picked}
        if oracle > blind:
            detail["efficiency"] = (picked - blind) / (oracle - blind)
        return Value(picked, detail=detail)


def _scores(samples: SampleSet, scorer: Scorer | None) -> list[float]:
    if scorer in ("long", "short"):
        return [len(text) * (1.0 if scorer == "long" else -1.0) for text in samples.texts]
    if scorer == "score":
        given = given_scores(samples) or [None] * len(samples.completions)
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


@dataclass(frozen=True)
class ExpectedDraws(PerSet):
    """``(n+1) / (c+1)`` in [1, n+1]: draws without replacement to the first right one; n + 1 when none of the n is.

    It grows with n where nothing is right, so compare equal n (in the detail).
    """

    kind: ClassVar[str] = "expected_draws"
    title: ClassVar[str] = "expected draws to a pass"
    role: ClassVar[Role] = Role.OTHER
    direction: ClassVar[int] = -1
    _needs = VERIFIER

    def _value(self, samples: SampleSet, judged: Judged) -> Value:
        right = sum(passes(judged))
        return Value(float(expected_draws(len(samples.completions), right)), detail={"right": right})


@dataclass(frozen=True)
class MeanScore(PerSet):
    """Mean of the scores that a foreign file came with, on that file's scale; NaN where a sample has none."""

    kind: ClassVar[str] = "mean_score"
    title: ClassVar[str] = "mean score"
    role: ClassVar[Role] = Role.QUALITY
    direction: ClassVar[int] = 1

    @classmethod
    def defaults(cls, n: int) -> Options:
        """None: where scores came with the samples it is measured unasked."""
        return ()

    def _value(self, samples: SampleSet, judged: Judged) -> Value:
        return Value(float(np.mean(_scores(samples, "score"))))
