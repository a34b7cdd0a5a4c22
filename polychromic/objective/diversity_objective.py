"""The diversity term's objective ``E[f(y_1..y_k)]``: sample sets in, advantages out.

The loss of a run is ``demonstration - lambda * E[f]``; the advantages make the surrogate whose gradient is the unbiased
estimate of ``grad E[f]``.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from polychromic.core.errors import InputError, UnsoundObjectiveError
from polychromic.core.nouns import Evidence, SampleSet, Status, Verdict
from polychromic.core.protocols import Gate, Reward
from polychromic.objective.baseline import Baseline, BaselineKind, Moments, batch_moments
from polychromic.objective.credit import Credit, SetSize, group_credit
from polychromic.objective.rivals import RivalName
from polychromic.objective.rivals import rival as find_rival

DEAD = 1e-12
"""Credits that differ by less than this are equal."""


@dataclass(frozen=True)
class GroupAdvantages:
    """Advantages (float64, [p, n]): for a prompt ``sum_i A_i grad log q(y_i)`` estimates ``grad E[f]``, all factors in.

    ``report`` has the plain means over the prompts that a run logs; NaN where a number is not defined. ``credits``
    [p, n] are our credits before any baseline.
    """

    advantages: NDArray[np.float64]
    report: dict[str, float]
    credits: NDArray[np.float64] = field(default_factory=lambda: np.zeros((0, 0)))


@dataclass(frozen=True)
class ScoredSet:
    """What reward, gate and credit say about one set."""

    evidence: Evidence
    validity: tuple[float, ...]
    credit: Credit


class DiversityObjective:
    """Turns the sample sets of a step into advantages, and remembers what its baseline has learnt.

    ``set_size`` None means all samples of the set. ``rival`` names another method whose credit takes the place of
    ours. ``add_ranks`` adds up the baseline's moments over the ranks of a distributed run, so that every rank
    subtracts the same; the default is a run of one rank.
    """

    def __init__(
        self,
        reward: Reward,
        gate: Gate,
        set_size: SetSize | None = None,
        baseline: BaselineKind = "control_variate",
        rival: RivalName | None = None,
    ) -> None:
        if isinstance(set_size, int) and set_size < 1:
            raise UnsoundObjectiveError(f"set_size must be at least 1, not {set_size}")
        self.reward = reward
        self.gate = gate
        self.set_size = set_size
        self.baseline = Baseline(baseline)
        self.rival = None if rival is None else find_rival(rival)
        self.add_ranks: Callable[[Moments], Moments] = lambda moments: moments

    def credits(self, sets: Sequence[SampleSet], verdicts: Sequence[Sequence[Verdict]] | None) -> list[ScoredSet]:
        """The evidence, validity and credit of every set, in order."""
        found = []
        for index, samples in enumerate(sets):
            judged = None if verdicts is None else verdicts[index]
            valid = self.gate.validity(samples, judged)
            evidence = self.reward.evidence(samples, judged)
            found.append(ScoredSet(evidence, valid, group_credit(evidence, valid, self.size_in(samples))))
        return found

    def size_in(self, samples: SampleSet) -> SetSize:
        """The set size for this many samples."""
        return self.set_size if self.set_size is not None else len(samples.completions)

    def advantages(
        self, sets: Sequence[SampleSet], verdicts: Sequence[Sequence[Verdict]] | None = None
    ) -> GroupAdvantages:
        """The advantages of every sample of ``p`` sets of equal size ``n``, and the numbers to log.

        The baseline uses the batches before this one; this batch becomes part of the past afterwards.

        Raises:
            UnsoundObjectiveError: the sets were drawn from a truncated distribution, or are too small for the set size.
            InputError: the sets are of unequal size, or the verdicts do not match them.
        """
        refuse_sets(sets, verdicts)
        if not sets:
            return GroupAdvantages(np.zeros((0, 0)), {})
        found = self.credits(sets, verdicts)
        values = np.stack([one.credit.values for one in found])
        reference = np.stack([one.credit.reference for one in found])
        if self.rival is None:
            advantages = (values - self.baseline.predict(reference)) / values.shape[1]
        else:
            evidence, validity = [one.evidence for one in found], [one.validity for one in found]
            advantages = self.rival(evidence, validity, self.size_in(sets[0]))
        self.baseline.observe(self.add_ranks(batch_moments(values, reference)))
        return GroupAdvantages(
            advantages, _report(sets, found) | {"polychromic/frac_judged": _judged(verdicts)}, values
        )

    def sync_without_samples(self) -> None:
        """Takes part in the ranks' exchange of a step in which this rank has no samples."""
        self.baseline.observe(self.add_ranks(np.zeros_like(self.baseline.moments)))

    def state_dict(self) -> dict[str, object]:
        """What a checkpoint needs, as plain JSON."""
        return {"baseline": self.baseline.state_dict()}

    def load_state_dict(self, state: dict[str, object]) -> None:
        """Takes up a saved state; raises InputError when it is of another baseline or damaged."""
        saved = state.get("baseline")
        if not isinstance(saved, dict):
            raise InputError("the saved objective has no baseline")
        self.baseline.load_state_dict(saved)


def refuse_sets(sets: Sequence[SampleSet], verdicts: Sequence[Sequence[Verdict]] | None) -> None:
    """Raises when these sets cannot give a true gradient: truncated sampling, unequal sizes or missing verdicts."""
    for samples in sets:
        if samples.decoding.truncated:
            raise UnsoundObjectiveError(
                f"prompt {samples.prompt.id!r}: samples drawn with top_p={samples.decoding.top_p}, "
                f"top_k={samples.decoding.top_k}, constraint={samples.decoding.constraint!r} are not the policy's own; "
                "allowed: top_p=1, top_k=0, no constraint"
            )
    sizes = {len(samples.completions) for samples in sets}
    if len(sizes) > 1:
        raise InputError(f"all sets of a step need the same number of samples, not {sorted(sizes)}")
    if verdicts is not None and [len(v) for v in verdicts] != [len(s.completions) for s in sets]:
        raise InputError("one verdict is needed for every completion")


def _report(sets: Sequence[SampleSet], found: Sequence[ScoredSet]) -> dict[str, float]:
    completions = [completion for samples in sets for completion in samples.completions]
    lengths = [length(completion.token_ids, completion.text) for completion in completions]
    similarity = [one.credit.similarity for one in found if not math.isnan(one.credit.similarity)]
    return {
        "polychromic/diversity_value": float(np.mean([one.credit.value for one in found])),
        "polychromic/frac_valid": float(np.mean([one.validity for one in found])),
        "frac_reward_zero_std": float(np.mean([np.ptp(one.credit.values) < DEAD for one in found])),
        "polychromic/frac_unique": float(np.mean([len(set(samples.texts)) / len(samples.texts) for samples in sets])),
        "completions/clipped_ratio": float(np.mean([not completion.finished for completion in completions])),
        "completions/mean_length": float(np.mean(lengths)),
        "polychromic/similarity": float(np.mean(similarity)) if similarity else math.nan,
    }


def _judged(verdicts: Sequence[Sequence[Verdict]] | None) -> float:
    """The share of the samples that have a verdict; NaN where nobody judges."""
    if verdicts is None:
        return math.nan
    return float(np.mean([verdict.status is not Status.ABSENT for row in verdicts for verdict in row]))


def length(token_ids: Sequence[int], text: str) -> int:
    """Tokens of a completion, or its words where an engine gave no tokens."""
    return len(token_ids) or len(text.split())


def lambda_eff(weight: float, tokens_per_demonstration: float) -> float:
    """The strength per sequence: ``weight`` times the tokens, as the demonstration loss is a mean over tokens."""
    return weight * tokens_per_demonstration


def off_support_gain(effective: float, similarity: float) -> float:
    """``2 lambda_eff C``: above 1, and without a gate, undemonstrated junk gains probability; NaN where C is."""
    return 2.0 * effective * similarity
