"""Bootstrap and permutation: closed forms, scipy, coverage, uniform p-values, bad input."""

import itertools

import numpy as np
import pytest
from scipy import stats

from polychromic.analysis.resampling import (
    Pairs,
    Plan,
    bootstrap,
    bootstrap_weights,
    intervals,
    jackknife,
    paired_bootstrap,
    permutation_p,
    ratio,
    scores,
)
from polychromic.core.errors import InputError


def means(a, b):
    a, b = np.asarray(a, float), np.asarray(b, float)
    return Pairs(a, np.ones_like(a), b, np.ones_like(b))


def test_ratio_of_nothing_is_nan_not_a_number_that_looks_right():
    assert np.isnan(ratio([0.0, 1.0], [0.0, 0.0])).all()
    assert np.isnan(scores(np.zeros((0, 2)), np.zeros((0, 2)))).all()


def test_weights_are_multinomial_and_chunks_do_not_matter(monkeypatch):
    whole = np.concatenate(list(bootstrap_weights(7, 500, seed=3)))
    assert whole.shape == (500, 7)
    assert (whole.sum(axis=1) == 7).all()
    assert whole.var() == pytest.approx(6 / 7, rel=0.05)
    monkeypatch.setattr("polychromic.analysis.resampling.CHUNK_CELLS", 70)
    chunks = list(bootstrap_weights(7, 500, seed=3))
    assert len(chunks) == 50
    assert (np.concatenate(chunks) == whole).all()


def test_bootstrap_spread_has_its_closed_form():
    generator = np.random.default_rng(0)
    values = generator.normal(2.0, 3.0, (80, 1))
    draws = bootstrap(values, np.ones_like(values), Plan(20_000))
    assert draws.mean() == pytest.approx(values.mean(), abs=0.01)
    assert draws.std() == pytest.approx(values.std() / np.sqrt(80), rel=0.02)


def test_one_prompt_gives_no_interval():
    """Drawn again and again it would be an interval of width zero."""
    one = np.array([[0.25]])
    assert np.isnan(bootstrap(one, np.ones_like(one), Plan(10))).all()
    _, spans = paired_bootstrap(means(one, one + 0.5), Plan(50))
    assert np.isnan(spans).all()
    assert permutation_p(means(one, one + 0.5), Plan(50)) == 1.0


def test_bootstrap_equals_resampling_the_rows_by_hand():
    generator = np.random.default_rng(1)
    top, bottom = generator.random((9, 3)), generator.random((9, 3)) + 0.5
    draws = bootstrap(top, bottom, Plan(50, seed=4))
    weights = np.concatenate(list(bootstrap_weights(9, 50, 4))).astype(int)
    for draw, weight in zip(draws, weights, strict=True):
        rows = np.repeat(np.arange(9), weight)
        assert draw == pytest.approx(top[rows].sum(axis=0) / bottom[rows].sum(axis=0))


@pytest.mark.parametrize("method", ["percentile", "bca"])
def test_intervals_agree_with_scipy(method):
    values = np.random.default_rng(2).exponential(1.0, 60)
    ours = Plan(20_000, method=method)
    columns, ones = values[:, None], np.ones((60, 1))
    found = intervals(bootstrap(columns, ones, ours), scores(columns, ones), jackknife(columns, ones), ours)[0]
    theirs = stats.bootstrap((values,), np.mean, n_resamples=20_000, method=method, rng=np.random.default_rng(0))
    width = theirs.confidence_interval.high - theirs.confidence_interval.low
    assert found[0] == pytest.approx(theirs.confidence_interval.low, abs=0.03 * width)
    assert found[1] == pytest.approx(theirs.confidence_interval.high, abs=0.03 * width)


@pytest.mark.parametrize("method", ["percentile", "bca"])
def test_coverage_of_paired_intervals(method):
    """93-97 % of 95 % intervals hold the truth: 1,500 experiments as 1,500 columns, ratio statistics, skewed noise."""
    generator = np.random.default_rng(5)
    prompts, experiments = 120, 1500
    difficulty = generator.gamma(2.0, 1.0, (prompts, experiments))
    size = generator.integers(1, 4, (prompts, experiments)).astype(float)
    a = size * (difficulty + generator.exponential(0.7, (prompts, experiments)))
    b = size * (difficulty + generator.exponential(0.7, (prompts, experiments)) + 0.3)
    _, spans = paired_bootstrap(Pairs(a, size, b, size), Plan(1000, method=method))
    covered = ((spans[:, 0] <= 0.3) & (spans[:, 1] >= 0.3)).mean()
    assert 0.93 <= covered <= 0.97


def test_permutation_p_is_uniform_under_the_null():
    generator = np.random.default_rng(6)
    difficulty = generator.normal(0, 2, (40, 2000))
    pairs = means(*(difficulty + generator.normal(0, 1, (40, 2000)) for _ in "ab"))
    found = permutation_p(pairs, Plan(499))
    assert stats.kstest(found, "uniform").pvalue > 0.01
    for level in (0.01, 0.05, 0.2):
        assert (found <= level).mean() == pytest.approx(level, abs=3.5 * np.sqrt(level / 2000))


def test_permutation_p_agrees_with_enumeration_and_scipy():
    a = np.array([0.1, 0.5, 0.3, 0.9, 0.4, 0.2, 0.8, 0.6, 0.35])
    b = a + np.array([0.2, -0.1, 0.3, 0.05, 0.15, 0.1, -0.05, 0.25, 0.12])
    difference = b - a
    flips = np.array(list(itertools.product([1, -1], repeat=9)))
    exact = (np.abs((flips * difference).mean(axis=1)) >= abs(difference.mean()) - 1e-12).mean()
    found = permutation_p(means(a[:, None], b[:, None]), Plan(40_000))[0]
    assert found == pytest.approx(exact, abs=0.004)
    theirs = stats.permutation_test((b, a), lambda x, y: np.mean(x - y), permutation_type="samples", n_resamples=np.inf)
    assert exact == pytest.approx(theirs.pvalue)


def test_permutation_p_has_its_plus_one():
    values = np.arange(30.0)[:, None]
    assert permutation_p(means(values, values + 1), Plan(99))[0] == pytest.approx(1 / 100)
    assert permutation_p(means(values, values), Plan(99))[0] == 1.0


def test_permutation_of_ratios_swaps_numerator_with_denominator():
    """By enumeration over all swaps, with unequal denominators."""
    generator = np.random.default_rng(8)
    top_a, top_b = (generator.integers(1, 9, 8).astype(float) for _ in "ab")
    bottom_a, bottom_b = generator.integers(1, 4, 8).astype(float), generator.integers(4, 30, 8).astype(float)
    observed = abs(top_b.sum() / bottom_b.sum() - top_a.sum() / bottom_a.sum())
    extreme = 0
    for swap in itertools.product([False, True], repeat=8):
        s = np.array(swap)
        one = np.where(s, top_b, top_a).sum() / np.where(s, bottom_b, bottom_a).sum()
        other = np.where(s, top_a, top_b).sum() / np.where(s, bottom_a, bottom_b).sum()
        extreme += abs(other - one) >= observed - 1e-12
    pairs = Pairs(*(each[:, None] for each in (top_a, bottom_a, top_b, bottom_b)))
    assert permutation_p(pairs, Plan(40_000))[0] == pytest.approx(extreme / 2**8, abs=0.01)


def test_antisymmetric():
    generator = np.random.default_rng(9)
    a, b = generator.random((30, 4)), generator.random((30, 4))
    plan = Plan(500)
    (_, forth), (_, back) = paired_bootstrap(means(a, b), plan), paired_bootstrap(means(b, a), plan)
    assert forth == pytest.approx(-back[:, ::-1])
    assert (permutation_p(means(a, b), plan) == permutation_p(means(b, a), plan)).all()


@pytest.mark.parametrize("wrong", [{"resamples": 0}, {"confidence": 1.0}, {"method": "normal"}])
def test_wrong_plans(wrong):
    with pytest.raises(InputError, match=r"allowed|needed"):
        Plan(**wrong)
