"""What a set is worth in expectation, estimated without bias from more samples than it holds.

The schedule's ``calibrated: demonstrations`` pulls the policy's sets towards what sets of demonstrations are worth
under the same reward, gate and set size; this is where that number comes from.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from polychromic.core.errors import UnsoundObjectiveError
from polychromic.core.nouns import Distances, Evidence, SampleSet, SetFunction, Verdict
from polychromic.objective.credit import SetSize, group_credit
from polychromic.objective.diversity_objective import DiversityObjective


def set_value(evidence: Evidence, validity: Sequence[float], set_size: SetSize, n: int) -> float:
    """``E[f(y_1..y_k)]`` in [0, 1] of the distribution that drew ``m >= k`` samples, without bias.

    ``set_size`` is ``k``, or ``"shapley"``: the mean over ``k = 1..n``, n the generations of the objective. Labels and
    pairs average over all subsets of ``k``; a set function over the ``m // k`` sets that lie side by side.

    Raises:
        UnsoundObjectiveError: there are fewer samples than ``k``.
    """
    if set_size == "shapley":
        return float(np.mean([set_value(evidence, validity, k, n) for k in range(1, n + 1)]))
    if len(validity) < set_size:
        raise UnsoundObjectiveError(f"{len(validity)} samples cannot tell what a set of {set_size} is worth")
    if isinstance(evidence, Distances) and set_size == 1:
        return 0.0  # a set of one sample has no pair
    if not isinstance(evidence, SetFunction):
        return group_credit(evidence, validity, set_size).value
    starts = range(0, len(validity) - set_size + 1, set_size)
    sets = [[i for i in range(start, start + set_size) if validity[i]] for start in starts]
    return float(np.mean([evidence.value(members, set_size) for members in sets]))


def samples_needed(set_size: SetSize | None, n: int) -> int:
    """How many samples of a prompt the value of a set takes: ``k``, or ``n`` for all of them and for Shapley."""
    return set_size if isinstance(set_size, int) else n


def value_of_sets(
    objective: DiversityObjective, sets: Sequence[SampleSet], verdicts: Sequence[Sequence[Verdict]] | None, n: int
) -> float:
    """The mean worth in [0, 1] of sets drawn from these, every prompt counted as often as it has samples.

    ``n`` is the number of generations of the objective. Raises UnsoundObjectiveError when a set is too small, or when
    there is none.
    """
    if not sets:
        raise UnsoundObjectiveError("there is no set to take the worth of")
    size = n if objective.set_size is None else objective.set_size
    values = []
    for index, samples in enumerate(sets):
        judged = None if verdicts is None else verdicts[index]
        valid = objective.gate.validity(samples, judged)
        values.append(set_value(objective.reward.evidence(samples, judged), valid, size, n))
    return float(np.average(values, weights=[len(samples.completions) for samples in sets]))
