"""Credit against its definition by brute force, against hand-computed tables, and its invariances."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from polychromic.core.errors import InputError, UnsoundObjectiveError
from polychromic.core.nouns import Distances, Evidence, Labels, SetFunction
from polychromic.objective.credit import Credit, SetSize, group_credit


def worth(evidence: Evidence, valid: list[float], subset: tuple[int, ...]) -> float:
    """f of a subset, written down from its definition."""
    k = len(subset)
    if isinstance(evidence, Labels):
        return len({evidence.values[i] for i in subset if valid[i] and evidence.values[i] is not None}) / k
    if isinstance(evidence, Distances):
        pairs = list(itertools.combinations(subset, 2))
        return sum(valid[i] * valid[j] * evidence.rows[i][j] for i, j in pairs) / len(pairs) if pairs else 0.0
    return evidence.value([i for i in subset if valid[i]], k)


def mean_with(evidence: Evidence, valid: list[float], i: int, k: int) -> float:
    """m_i: the mean of f over the k-subsets that contain i."""
    n = len(valid)
    return float(np.mean([worth(evidence, valid, s) for s in itertools.combinations(range(n), k) if i in s]))


def credit_by_definition(evidence: Evidence, valid: list[float], i: int, k: int) -> float:
    """k times the mean over subsets with i of (f) - (f with i made invalid)."""
    without = [0.0 if j == i else v for j, v in enumerate(valid)]
    return k * (mean_with(evidence, valid, i, k) - mean_with(evidence, without, i, k))


def sizes_of(n: int, set_size: SetSize) -> list[int]:
    return list(range(1, n + 1)) if set_size == "shapley" else [set_size]


def distinct_share(members: list[int], size: int) -> float:
    """A set function that is neither additive nor pairwise: classes by i mod 3, a bonus for pairs of neighbours."""
    return (len({i % 3 for i in members}) + 0.3 * sum(i + 1 in members for i in members)) / (2 * size)


@st.composite
def cases(draw: st.DrawFn) -> tuple[Evidence, list[float]]:
    n = draw(st.integers(2, 6))
    kind = draw(st.sampled_from(["labels", "distances", "function"]))
    if kind == "labels":
        values = draw(st.lists(st.sampled_from(["a", "b", "c", None]), min_size=n, max_size=n))
        return Labels(tuple(values)), draw(st.lists(st.sampled_from([0.0, 1.0]), min_size=n, max_size=n))
    if kind == "distances":
        flat = draw(st.lists(st.floats(0, 1), min_size=n * n, max_size=n * n))
        square = np.array(flat).reshape(n, n)
        square = (square + square.T) / 2
        np.fill_diagonal(square, 0.0)
        return Distances(tuple(map(tuple, square.tolist()))), draw(st.lists(st.floats(0, 1), min_size=n, max_size=n))
    return SetFunction(distinct_share, n), draw(st.lists(st.sampled_from([0.0, 1.0]), min_size=n, max_size=n))


@given(cases(), st.data())
def test_credit_and_value_are_their_definitions(case: tuple[Evidence, list[float]], data: st.DataObject) -> None:
    evidence, valid = case
    n = len(valid)
    allowed = [k for k in range(1, n + 1) if not (k == 1 and isinstance(evidence, Distances))]
    set_size = data.draw(st.sampled_from([*allowed, "shapley"]))
    credit = group_credit(evidence, valid, set_size)
    sizes = sizes_of(n, set_size)
    subsets = [list(itertools.combinations(range(n), k)) for k in sizes]
    value = np.mean([np.mean([worth(evidence, valid, s) for s in of_size]) for of_size in subsets])
    assert credit.value == pytest.approx(value, rel=1e-12, abs=1e-14)
    for i in range(n):
        if isinstance(evidence, Distances):  # linear in i's pairs: the credit leaves out only what i has no part in
            expected = np.mean([credit_by_definition(evidence, valid, i, k) if k > 1 else 0.0 for k in sizes])
        else:
            expected = np.mean([credit_by_definition(evidence, valid, i, k) for k in sizes])
        assert credit.values[i] == pytest.approx(expected, rel=1e-10, abs=1e-12)


@given(cases(), st.data())
def test_reference_depends_on_the_others_only(case: tuple[Evidence, list[float]], data: st.DataObject) -> None:
    evidence, valid = case
    n = len(valid)
    i = data.draw(st.integers(0, n - 1))
    set_size = data.draw(st.sampled_from([2, n, "shapley"]))
    before = group_credit(evidence, valid, set_size).reference[i]
    if isinstance(evidence, Labels):
        changed = data.draw(st.sampled_from(["a", "b", "new", None]))
        other: Evidence = Labels(tuple(changed if j == i else value for j, value in enumerate(evidence.values)))
    elif isinstance(evidence, Distances):
        square = np.array(evidence.rows)
        square[i, :] = square[:, i] = data.draw(st.floats(0, 1))
        square[i, i] = 0.0
        other = Distances(tuple(map(tuple, square.tolist())))
    else:
        other = evidence
    flipped = [1.0 - v if j == i else v for j, v in enumerate(valid)]
    assert group_credit(other, flipped, set_size).reference[i] == pytest.approx(before, rel=1e-9, abs=1e-12)


@given(cases(), st.data())
def test_order_of_the_samples_does_not_matter(case: tuple[Evidence, list[float]], data: st.DataObject) -> None:
    evidence, valid = case
    n = len(valid)
    order = data.draw(st.permutations(range(n)))
    if isinstance(evidence, Labels):
        moved: Evidence = Labels(tuple(evidence.values[i] for i in order))
    elif isinstance(evidence, Distances):
        moved = Distances(tuple(map(tuple, np.array(evidence.rows)[np.ix_(order, order)].tolist())))
    else:
        moved = SetFunction(lambda members, size: distinct_share([order[i] for i in members], size), n)
    set_size = data.draw(st.sampled_from([2, n, "shapley"]))
    one, two = group_credit(evidence, valid, set_size), group_credit(moved, [valid[i] for i in order], set_size)
    np.testing.assert_allclose(two.values, one.values[list(order)], atol=1e-12)
    np.testing.assert_allclose(two.reference, one.reference[list(order)], atol=1e-12)
    assert two.value == pytest.approx(one.value, abs=1e-12)


def test_labels_by_hand() -> None:
    """Five samples a a b junk(c) none: c_i = 2 2 1, the fourth invalid, the fifth without an answer."""
    labels, valid = Labels(("a", "a", "b", "c", None)), [1.0, 1.0, 1.0, 0.0, 1.0]
    table = {
        1: [1, 1, 1, 0, 0],
        2: [3 / 4, 3 / 4, 1, 0, 0],
        3: [3 / 6, 3 / 6, 1, 0, 0],
        5: [0, 0, 1, 0, 0],
        "shapley": [1 / 2, 1 / 2, 1, 0, 0],
    }
    for set_size, expected in table.items():
        np.testing.assert_allclose(group_credit(labels, valid, set_size).values, expected, atol=1e-13)
    assert group_credit(labels, valid, 1).value == pytest.approx(3 / 5)
    assert group_credit(labels, valid, 5).value == pytest.approx(2 / 5)


def test_shapley_is_the_mean_over_the_set_sizes() -> None:
    labels, valid = Labels(tuple("aabbbcd")), [1.0] * 6 + [0.0]
    every = [group_credit(labels, valid, k) for k in range(1, 8)]
    shapley = group_credit(labels, valid, "shapley")
    np.testing.assert_allclose(shapley.values, np.mean([c.values for c in every], axis=0), atol=1e-12)
    assert shapley.value == pytest.approx(np.mean([c.value for c in every]))


def test_one_valid_answer_in_a_huge_set_stays_exact() -> None:
    n = 100_000
    credit = group_credit(Labels(("a",) * 10 + (None,) * (n - 10)), [1.0] * n, 1000)
    exact = math.exp(sum(math.log1p(-9 / (n - 1 - i)) for i in range(999)))
    assert credit.values[0] == pytest.approx(exact, rel=1e-9)


def test_similarity_puts_the_junk_threshold_where_theory_has_it() -> None:
    distances = Distances(((0.0, 0.2, 0.4), (0.2, 0.0, 0.6), (0.4, 0.6, 0.0)))
    assert group_credit(distances, [1.0, 0.0, 1.0], 2).similarity == pytest.approx(0.6)
    assert group_credit(Labels(tuple("aabb")), [1.0] * 4, 2).similarity == pytest.approx((1 / 3) / 2)
    assert math.isnan(group_credit(Labels(("a", None)), [1.0] * 2, 2).similarity)
    assert math.isnan(group_credit(SetFunction(distinct_share, 3), [1.0] * 3, 3).similarity)


@pytest.mark.parametrize(
    ("evidence", "valid", "set_size", "message"),
    [
        (Labels(("a", "b")), [1.0, 1.0], 3, "between 1 and the number of generations"),
        (Labels(("a", "b")), [1.0, 1.0], 0, "between 1 and the number of generations"),
        (Labels(("a", "b")), [1.0], 1, "2 labels for 1"),
        (Labels(("a", "b")), [1.0, 0.5], 2, "validity of 0 or 1"),
        (Labels(("a", "b")), [1.0, 2.0], 2, "must lie in"),
        (Labels(("a", "b")), [1.0, math.nan], 2, "must lie in"),
        (Distances(((0.0, 1.0), (1.0, 0.0))), [1.0, 1.0], 1, "has no pair"),
        (Distances(((0.0,),)), [1.0], "shapley", "has no pair"),
        (Distances(((0.0, 1.0),)), [1.0, 1.0], 2, "shape"),
        (Distances(((0.0, math.nan), (math.nan, 0.0))), [1.0, 1.0], 2, "finite"),
        (SetFunction(distinct_share, 16), [1.0] * 16, 8, "evaluations of a set function"),
        (SetFunction(distinct_share, 3), [1.0] * 2, 2, "a set function of 3"),
    ],
)
def test_refusals(evidence: Evidence, valid: list[float], set_size: SetSize, message: str) -> None:
    with pytest.raises((InputError, UnsoundObjectiveError), match=message):
        group_credit(evidence, valid, set_size)


def test_a_set_of_one_sample() -> None:
    credit = group_credit(Labels(("a",)), [1.0], 1)
    assert isinstance(credit, Credit)
    assert credit.values.tolist() == [1.0]
    assert credit.reference.tolist() == [0.0]
