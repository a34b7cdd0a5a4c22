from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import hypergeom

from polychromic.diversity import answers

LABELS = st.lists(st.sampled_from([None, "a", "b", "c", "d"]), min_size=1, max_size=8)


def test_counts_leave_out_samples_without_an_answer() -> None:
    labels = ["x", None, "y", "x", None]
    assert answers.label_counts(labels).tolist() == [2, 1]
    assert answers.label_counts([None]).tolist() == []


@given(LABELS, st.data())
def test_distinct_at_k_counts_subsets(labels: list[str | None], data: st.DataObject) -> None:
    k = data.draw(st.integers(1, len(labels)))
    mean = np.mean([len({labels[i] for i in s} - {None}) for s in combinations(range(len(labels)), k)])
    assert answers.distinct_at_k(labels, k) == pytest.approx(mean, abs=1e-12)


@given(LABELS)
def test_collision_counts_pairs(labels: list[str | None]) -> None:
    named = [label for label in labels if label is not None]
    pairs = [a == b for a, b in combinations(named, 2)]
    got = answers.collision(labels)
    assert np.isnan(got) if not pairs else got == pytest.approx(np.mean(pairs))


@given(LABELS, st.sets(st.sampled_from("abcd")), st.data())
def test_majority_counts_subsets(labels: list[str | None], good: set[str], data: st.DataObject) -> None:
    k = data.draw(st.integers(1, len(labels)))
    wins = []
    for subset in combinations(labels, k):
        votes = {label: subset.count(label) for label in subset if label is not None}
        leaders = [label for label, count in votes.items() if count == max(votes.values())]
        wins.append(np.mean([label in good for label in leaders]) if leaders else 0.0)
    right = [label in good for label in labels]
    assert answers.majority_at_k(labels, right, k) == pytest.approx(np.mean(wins), abs=1e-12)


def test_majority_needs_k_samples_and_stays_exact_at_a_hundred() -> None:
    assert np.isnan(answers.majority_at_k(["a"], [True], 2))
    labels = ["a"] * 60 + ["b"] * 40
    right = [True] * 60 + [False] * 40
    assert answers.majority_at_k(labels, right, 1) == pytest.approx(0.6)
    assert answers.majority_at_k(labels, right, 99) == pytest.approx(1.0)
    assert answers.majority_at_k(labels, right, 100) == 1.0
    # two labels and an odd k: the majority is a hypergeometric tail
    assert answers.majority_at_k(labels, right, 15) == pytest.approx(float(hypergeom.sf(7, 100, 60, 15)), rel=1e-12)
    many, half = ["a"] * 6000 + ["b"] * 4000, [True] * 6000 + [False] * 4000
    assert answers.majority_at_k(many, half, 15) == pytest.approx(float(hypergeom.sf(7, 10_000, 6000, 15)), rel=1e-10)
