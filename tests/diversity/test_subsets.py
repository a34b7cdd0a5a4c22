"""The hypergeometric kernel against exact fractions and against counting every subset."""

from __future__ import annotations

from fractions import Fraction
from itertools import combinations
from math import ceil, comb, log

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from polychromic.core.errors import InputError
from polychromic.diversity import subsets


@st.composite
def urns(draw: st.DrawFn) -> tuple[int, int, int]:
    n = draw(st.integers(1, 60))
    return n, draw(st.integers(0, n)), draw(st.integers(1, n))


@given(urns())
def test_miss_is_the_exact_fraction(urn: tuple[int, int, int]) -> None:
    n, c, k = urn
    exact = Fraction(comb(n - c, k), comb(n, k))
    assert float(subsets.miss(n, c, k)) == pytest.approx(float(exact), rel=1e-12, abs=1e-300)
    assert float(subsets.pass_at_k(n, c, k)) == pytest.approx(float(1 - exact), rel=1e-12)
    assert float(subsets.pass_hat_k(n, c, k)) == pytest.approx(comb(c, k) / comb(n, k), rel=1e-11)


@pytest.mark.parametrize(
    ("n", "c", "k"),
    [
        (10**6, 1, 10**6 - 1),
        (10**6, 3, 500_000),
        (10**6, 1500, 1400),
        (10**6, 5000, 3000),
        (10**6, 20_000, 2_000),
        (10**6, 999_990, 5),
        (4000, 1300, 1100),
        (2600, 1300, 1300),
        (2610, 1300, 1300),
    ],
)
def test_miss_at_a_million_samples(n: int, c: int, k: int) -> None:
    exact = Fraction(1)
    few, many = min(c, k), max(c, k)
    numerator = denominator = 1
    for i in range(few):
        numerator *= n - many - i
        denominator *= n - i
    exact = Fraction(numerator, denominator)
    got = float(subsets.log_miss(n, c, k))
    log_exact = _log(exact)
    assert got == pytest.approx(log_exact, rel=1e-12, abs=1e-12)


def _log(value: Fraction) -> float:
    if value > Fraction(1, 2):
        return float(np.log1p(float(value - 1)))
    return log(float(value)) if float(value) > 0 else log(value.numerator) - log(value.denominator)


def test_miss_is_vectorised_and_nan_where_too_few() -> None:
    got = subsets.miss(np.array([4, 4, 2]), np.array([1, 0, 1]), np.array([[2], [3]]))
    assert got.shape == (2, 3)
    np.testing.assert_allclose(got[0], [0.5, 1.0, 0.0])
    np.testing.assert_allclose(got[1], [0.25, 1.0, np.nan])


def test_impossible_urns_are_refused() -> None:
    for n, c, k in [(3, 4, 1), (3, -1, 1), (3, 1, -1)]:
        with pytest.raises(InputError, match="kernel"):
            subsets.miss(n, c, k)


@pytest.mark.parametrize("tau", [0.01, 0.25, 0.5, 0.6, 0.75, 1.0])
def test_g_pass_counts_subsets(tau: float) -> None:
    for n in range(1, 8):
        for c in range(n + 1):
            for k in range(1, n + 1):
                drawn = [sum(i < c for i in s) for s in combinations(range(n), k)]
                share = sum(Fraction(hits) >= ceil(Fraction(str(tau)) * k) for hits in drawn) / len(drawn)
                assert subsets.g_pass_at_k(n, c, k, tau) == pytest.approx(share, abs=1e-12)
    assert np.isnan(subsets.g_pass_at_k(2, 1, 3, tau))


@given(st.lists(st.integers(0, 3), min_size=1, max_size=8), st.data())
def test_expected_distinct_counts_subsets(labels: list[int], data: st.DataObject) -> None:
    k = data.draw(st.integers(1, len(labels)))
    mean = np.mean([len({labels[i] for i in s} - {0}) for s in combinations(range(len(labels)), k)])
    counts = [labels.count(a) for a in {1, 2, 3}]
    assert subsets.expected_distinct(counts, k, len(labels)) == pytest.approx(mean, abs=1e-12)


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 1)), min_size=1, max_size=7), st.data())
def test_best_of_k_counts_subsets(samples: list[tuple[int, int]], data: st.DataObject) -> None:
    k = data.draw(st.integers(1, len(samples)))
    picks = []
    for s in combinations(samples, k):
        best = max(score for score, _ in s)
        picks.append(np.mean([quality for score, quality in s if score == best]))
    got = subsets.best_of_k([s for s, _ in samples], [q for _, q in samples], k)
    # equal scores share the weight of their places, which is the mean over all orders of the tied samples
    assert got == pytest.approx(np.mean(picks), abs=1e-12)


def test_best_of_k_edges() -> None:
    assert np.isnan(subsets.best_of_k([1.0], [1.0], 2))
    assert subsets.best_of_k([2.0, 1.0, 0.0], [0.0, 1.0, 1.0], 3) == 0.0
    assert subsets.best_of_k([float("-inf"), 1.0], [0.0, 1.0], 2) == 1.0
    with pytest.raises(InputError, match="NaN"):
        subsets.best_of_k([float("nan")], [1.0], 1)
    with pytest.raises(InputError, match="1 scores for 2"):
        subsets.best_of_k([1.0], [1.0, 0.0], 1)


def test_a_perfect_scorer_is_pass_at_k_and_a_blind_one_pass_at_1() -> None:
    right = [1.0, 0.0, 0.0, 1.0, 0.0, 0.0]
    for k in range(1, 7):
        assert subsets.best_of_k(right, right, k) == pytest.approx(float(subsets.pass_at_k(6, 2, k)))
        assert subsets.best_of_k([0.0] * 6, right, k) == pytest.approx(2 / 6)


def test_expected_draws_is_the_mean_position_of_the_first_success() -> None:
    for n in range(1, 7):
        for c in range(1, n + 1):
            mean = np.mean([min(s) + 1 for s in combinations(range(n), c)])
            assert float(subsets.expected_draws(n, c)) == pytest.approx(mean)


def test_collapse_point_and_efficiency() -> None:
    assert subsets.collapse_point([0.2, 0.5, 0.6, 0.61], 0.05) == 3
    assert subsets.collapse_point([0.2, 0.5], 0.05) is None
    assert subsets.diversity_efficiency(0.4, 0.1) == pytest.approx(4.0)
    assert subsets.diversity_efficiency(0.4, 0.0) == float("inf")
    assert np.isnan(subsets.diversity_efficiency(-0.4, -0.1))
