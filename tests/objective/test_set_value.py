"""What sets of demonstrations are worth: by hand, and against drawing every set of them."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from polychromic.core.errors import UnsoundObjectiveError
from polychromic.core.nouns import Completion, Decoding, Distances, Labels, Prompt, SampleSet, SetFunction
from polychromic.gates.none import NoGate
from polychromic.objective.diversity_objective import DiversityObjective
from polychromic.objective.set_value import samples_needed, set_value, value_of_sets
from polychromic.rewards.answers import Answers

LABELS = Labels(("a", "a", "b", "c", None))
VALID = (1.0, 1.0, 1.0, 0.0, 1.0)
ROWS = ((0.0, 0.2, 0.4), (0.2, 0.0, 0.9), (0.4, 0.9, 0.0))


def test_labels_by_hand():
    """Two of a, a, b, wrong, none: ten pairs; aa is worth 1/2, ab twice 1, a or b with one of the others 1/2."""
    assert set_value(LABELS, VALID, 1, 4) == pytest.approx(3 / 5)
    assert set_value(LABELS, VALID, 2, 4) == pytest.approx((0.5 + 2 * 1.0 + 6 * 0.5 + 0.0) / 10)
    assert set_value(LABELS, VALID, 5, 5) == pytest.approx(2 / 5)


def test_pairs_by_hand():
    assert set_value(Distances(ROWS), (1.0, 1.0, 1.0), 2, 3) == pytest.approx(0.5)
    assert set_value(Distances(ROWS), (1.0, 1.0, 0.0), 3, 3) == pytest.approx(0.2 / 3)
    assert set_value(Distances(ROWS), (1.0, 1.0, 1.0), "shapley", 2) == pytest.approx((0.0 + 0.5) / 2)


@pytest.mark.parametrize("k", [1, 2, 3, 4])
def test_the_value_is_the_mean_over_all_sets_of_k(k):
    subsets = itertools.combinations(range(5), k)
    worth = [len({LABELS.values[i] for i in chosen if VALID[i]} - {None}) / k for chosen in subsets]
    assert set_value(LABELS, VALID, k, 4) == pytest.approx(np.mean(worth))


def test_shapley_is_the_mean_over_the_sizes_that_generations_allow():
    """Of the objective's n, not of the demonstrations'."""
    sizes = [set_value(LABELS, VALID, k, 3) for k in (1, 2, 3)]
    assert set_value(LABELS, VALID, "shapley", 3) == pytest.approx(np.mean(sizes))
    assert set_value(LABELS, VALID, "shapley", 3) != pytest.approx(set_value(LABELS, VALID, "shapley", 5))


def test_a_set_function_is_evaluated_on_sets_side_by_side():
    seen = []

    def value(members, size):
        seen.append((tuple(members), size))
        return len(members) / size

    assert set_value(SetFunction(value, 5), VALID, 2, 2) == pytest.approx((1.0 + 0.5) / 2)
    assert seen == [((0, 1), 2), ((2,), 2)]


def test_too_few_samples_are_refused():
    with pytest.raises(UnsoundObjectiveError, match="5 samples cannot tell what a set of 6 is worth"):
        set_value(LABELS, VALID, 6, 6)
    assert (samples_needed(3, 8), samples_needed(None, 8), samples_needed("shapley", 8)) == (3, 8, 8)


def test_prompts_count_as_often_as_they_have_samples():
    objective = DiversityObjective(Answers(), NoGate(), 2)

    def drawn(*texts):
        return SampleSet(Prompt(texts[0], "p"), tuple(Completion(text) for text in texts), Decoding())

    sets = [drawn("x", "x"), drawn("x", "y", "z", "z", "z", "z")]
    pairs = [len(set(pair)) / 2 for pair in itertools.combinations("xyzzzz", 2)]
    assert value_of_sets(objective, sets, None, 4) == pytest.approx((2 * 0.5 + 6 * np.mean(pairs)) / 8)
    with pytest.raises(UnsoundObjectiveError, match="no set"):
        value_of_sets(objective, [], None, 4)
