"""The rivals against their formulas, and what they do to the gradient."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from polychromic.certificate import exact, shelf, toy
from polychromic.core.errors import InputError, UnsoundObjectiveError
from polychromic.core.nouns import Distances, Labels, SetFunction
from polychromic.objective.credit import group_credit
from polychromic.objective.diversity_objective import DiversityObjective
from polychromic.objective.rivals import NAMES, rival
from polychromic.rewards.mixture import as_set_function

LABELS = [Labels(("a", "a", "b", None)), Labels(("a", "b", "c", "c"))]
VALID = [[1.0, 1.0, 1.0, 0.0], [1.0, 0.0, 1.0, 1.0]]
PAIRS = [Distances(((0.0, 0.2, 0.4), (0.2, 0.0, 0.6), (0.4, 0.6, 0.0)))]


def credit(name: str, evidence, validity, set_size=2):
    return rival(name)(evidence, validity, set_size)


def test_naive_is_nothing():
    assert not credit("naive", LABELS, VALID).any()
    assert credit("naive", [], []).size == 0


def test_shuffled_gives_the_right_credit_to_the_wrong_prompt():
    right = [group_credit(e, v, 2) for e, v in zip(LABELS, VALID, strict=True)]
    expected = np.array([(c.values - c.reference) / 4 for c in right])[::-1]
    np.testing.assert_allclose(credit("shuffled", LABELS, VALID), expected)
    alone = credit("shuffled", LABELS[:1], VALID[:1])[0]
    np.testing.assert_allclose(alone, np.roll(expected[1], 1))


def test_accuracy_is_the_leave_one_out_mean():
    found = credit("accuracy", LABELS, VALID, 4)
    np.testing.assert_allclose(found[0], [(1 - 2 / 3) / 4] * 3 + [(0 - 1) / 4])
    np.testing.assert_allclose(credit("accuracy", PAIRS, [[1.0, 0.0, 0.0]])[0], [1 / 3, -0.5 / 3, -0.5 / 3])


@pytest.mark.parametrize("evidence", [LABELS[1], PAIRS[0], SetFunction(lambda m, size: len(set(m)) ** 0.5 / size, 4)])
def test_poly_epo_is_the_mean_over_subsets_with_i_minus_the_mean_over_all(evidence):
    function = as_set_function(evidence)
    n = function.size
    valid = [1.0] * (n - 1) + [0.0]
    for k in range(2, n + 1):
        subsets = list(itertools.combinations(range(n), k))
        value = {s: function.value([i for i in s if valid[i]], k) for s in subsets}
        overall = np.mean(list(value.values()))
        expected = [(k / n) * (np.mean([value[s] for s in subsets if i in s]) - overall) for i in range(n)]
        np.testing.assert_allclose(credit("poly_epo", [evidence], [valid], k)[0], expected, atol=1e-12)
    least = 2 if isinstance(evidence, Distances) else 1
    each = [credit("poly_epo", [evidence], [valid], k) for k in range(least, n + 1)]
    np.testing.assert_allclose(credit("poly_epo", [evidence], [valid], "shapley"), np.sum(each, axis=0) / n)


def test_darling_by_hand():
    reward = np.array([2 / 3, 2 / 3, 1.0, 0.0])
    np.testing.assert_allclose(credit("darling", LABELS[:1], VALID[:1])[0], (reward - reward.mean()) / 4)
    same = credit("darling", [Labels(("a", "a"))], [[1.0, 0.0]])[0]
    np.testing.assert_allclose(same, [0.05 / 2, -0.05 / 2])
    reward = np.array([0.3, 0.4, 0.5])
    np.testing.assert_allclose(credit("darling", PAIRS, [[1.0] * 3])[0], (reward - reward.mean()) / 3, atol=1e-12)


def test_dra_by_hand():
    reward = np.array([1 / 2, 1 / 2, 1.0, 0.0])
    np.testing.assert_allclose(credit("dra", LABELS[:1], VALID[:1])[0], (reward - reward.mean()) / 4)
    shapley = group_credit(LABELS[0], VALID[0], "shapley").values
    np.testing.assert_allclose(reward, shapley)
    reward = 1 / np.array([2.4, 2.2, 2.0])
    np.testing.assert_allclose(credit("dra", PAIRS, [[1.0] * 3])[0], (reward - reward.mean()) / 3)


@pytest.mark.parametrize("name", ["darling", "dra"])
def test_pairwise_methods_refuse_set_functions(name):
    with pytest.raises(UnsoundObjectiveError, match="in pairs"):
        credit(name, [SetFunction(lambda m, s: 0.0, 2)], [[1.0, 1.0]])


def test_an_unknown_rival_is_refused():
    with pytest.raises(InputError, match="rival must be one of"):
        rival("ours")


@pytest.mark.parametrize("name", NAMES)
def test_the_objective_takes_a_rival_and_only_accuracy_and_poly_epo_point_along_a_gradient(name):
    sets, theta = toy.Multisets(3), toy.parameters(1)
    reward, gate = shelf.make_reward("answers"), shelf.make_gate(shelf.PASSED_COUNT)
    objective = DiversityObjective(reward, gate, 2, rival=name)
    found = objective.advantages(sets.sets, sets.verdicts)
    assert found.advantages.shape == (len(sets.sets), 3)
    assert "polychromic/diversity_value" in found.report
    estimate = exact.expected_estimate(theta, sets, found.advantages)
    error = exact.relative_error(estimate, exact.exact_gradient(theta, reward, gate, [2]))
    if name == "poly_epo":  # 1 - k/n of the gradient
        assert error == pytest.approx(2 / 3, abs=1e-10)
    else:
        assert error > 0.01
    if name == "accuracy":
        assert exact.relative_error(estimate, exact.exact_gradient(theta, reward, gate, [1])) < exact.TOLERANCE
