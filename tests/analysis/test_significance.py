"""Exact tests, corrections and power against scipy, statsmodels, hand-computed tables and simulation."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from statsmodels.stats.contingency_tables import mcnemar
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.weightstats import ttost_paired

from polychromic.analysis.resampling import Pairs
from polychromic.analysis.significance import (
    VarianceSplit,
    equivalence,
    holm,
    mcnemar_p,
    minimum_detectable_effect,
    standard_errors,
    variance_split,
)
from polychromic.core.errors import InputError


def table(both, only_a, only_b, neither):
    a = [1] * both + [1] * only_a + [0] * only_b + [0] * neither
    b = [1] * both + [0] * only_a + [1] * only_b + [0] * neither
    return np.array(a), np.array(b)


def test_mcnemar_by_hand():
    # 1 against 8 discordant: 2 * (C(9,0) + C(9,1)) / 2^9
    assert mcnemar_p(*table(20, 1, 8, 30)) == pytest.approx(2 * 10 / 512)
    assert mcnemar_p(*table(20, 0, 0, 30)) == 1.0


@settings(deadline=None)
@given(st.integers(0, 20), st.integers(0, 20), st.integers(0, 5))
def test_mcnemar_agrees_with_statsmodels_and_is_symmetric(only_a, only_b, both):
    a, b = table(both, only_a, only_b, 3)
    assert mcnemar_p(a, b) == pytest.approx(mcnemar([[both, only_a], [only_b, 3]], exact=True).pvalue)
    assert mcnemar_p(a, b) == mcnemar_p(b, a)


@settings(deadline=None, max_examples=15)  # the peer takes 30 ms a call
@given(st.lists(st.floats(0, 1), min_size=1, max_size=30))
def test_holm_agrees_with_statsmodels(raw):
    assert holm(raw) == pytest.approx(multipletests(raw, method="holm")[1])


def test_holm_leaves_nan_out_of_the_family():
    assert holm([0.01, math.nan, 0.04]) == pytest.approx([0.02, math.nan, 0.04], nan_ok=True)
    assert holm([math.nan]) == pytest.approx([math.nan], nan_ok=True)


def test_standard_error_of_means_is_that_of_the_paired_t_test():
    generator = np.random.default_rng(0)
    a, b = generator.random((50, 1)), generator.random((50, 1))
    error = standard_errors(Pairs(a, np.ones_like(a), b, np.ones_like(b)))[0]
    assert error == pytest.approx(stats.sem((b - a)[:, 0]))


def test_standard_error_of_ratios_agrees_with_simulation():
    generator = np.random.default_rng(1)
    shape = (400, 3000)
    size_a, size_b = generator.integers(1, 10, shape).astype(float), generator.integers(1, 10, shape).astype(float)
    a, b = size_a * 0.3 + generator.normal(0, 1, shape), size_b * 0.5 + generator.normal(0, 1, shape)
    pairs = Pairs(a, size_a, b, size_b)
    assert standard_errors(pairs).mean() == pytest.approx(pairs.differences().std(), rel=0.05)


def test_zeros_for_prompts_that_do_not_count_change_nothing():
    generator = np.random.default_rng(2)
    a, b, ones = generator.random((40, 1)), generator.random((40, 1)), np.ones((40, 1))
    padded = [np.vstack([each, np.zeros((1000, 1))]) for each in (a, ones, b, ones)]
    assert standard_errors(Pairs(*padded)) == pytest.approx(standard_errors(Pairs(a, ones, b, ones)), rel=0.02)


def test_minimum_detectable_effect_has_80_percent_power():
    prompts, experiments = 60, 4000
    effect = float(minimum_detectable_effect(1.0 / math.sqrt(prompts), prompts - 1))
    noise = np.random.default_rng(3).normal(effect, 1.0, (experiments, prompts))
    assert (stats.ttest_1samp(noise, 0.0, axis=1).pvalue < 0.05).mean() == pytest.approx(0.80, abs=0.025)


def test_minimum_detectable_effect_of_164_prompts():
    """A HumanEval-sized comparison with a quarter of its prompts discordant resolves about 11 points."""
    a, b = table(60, 20, 21, 63)
    columns = [np.asarray(each, float)[:, None] for each in (a, np.ones(164), b, np.ones(164))]
    assert minimum_detectable_effect(standard_errors(Pairs(*columns)), 163)[0] == pytest.approx(0.11, abs=0.005)


def test_no_spread_means_unknown_power():
    assert math.isnan(minimum_detectable_effect(0.0, 50))
    assert math.isnan(minimum_detectable_effect(0.1, 0))


def test_in_a_family_more_is_needed():
    """What eight comparisons leave of the power: simulated, the stated effect is seen by Holm's first step in 80 %."""
    alone, within = (float(minimum_detectable_effect(1.0, 10_000, family=size)) for size in (1, 8))
    assert within / alone == pytest.approx(1.276, abs=0.002)
    draws = np.random.default_rng(0).normal(within, 1.0, 20_000)
    seen = 2 * stats.norm.sf(np.abs(draws)) * 8 < 0.05
    assert seen.mean() == pytest.approx(0.8, abs=0.01)


def test_equivalence_agrees_with_statsmodels():
    generator = np.random.default_rng(4)
    a = generator.random(80)
    b = a + generator.normal(0.01, 0.1, 80)
    found = equivalence(float((b - a).mean()), float(stats.sem(b - a)), 80, 0.05)
    p, (_, not_worse, _), _ = ttost_paired(b, a, -0.05, 0.05)
    assert found.p == pytest.approx(p)
    assert found.not_worse_p == pytest.approx(not_worse)


def test_equivalence_without_spread_or_data():
    assert equivalence(0.0, 0.0, 10, 0.1).p == 0.0
    assert equivalence(-0.2, 0.0, 10, 0.1).not_worse_p == 1.0
    assert math.isnan(equivalence(0.0, math.nan, 10, 0.1).p)
    with pytest.raises(InputError, match="margin"):
        equivalence(0.0, 0.1, 10, 0.0)


def test_variance_split_finds_the_parts_it_was_made_of():
    generator = np.random.default_rng(5)
    values = generator.normal(0, 2.0, (4000, 1)) + generator.normal(0, 3.0, (4000, 8))
    split = variance_split(values)
    assert split.between == pytest.approx(4.0, rel=0.1)
    assert split.within == pytest.approx(9.0, rel=0.05)
    assert split.standard_error() == pytest.approx(values.mean(axis=1).std(ddof=1) / math.sqrt(4000))
    assert split.within_share == pytest.approx((9 / 8) / (4 + 9 / 8), rel=0.1)


def test_variance_split_advises():
    assert "More prompts" in VarianceSplit(1.0, 0.1, 100, 8).advice
    assert "More samples" in VarianceSplit(0.01, 1.0, 100, 8).advice
    assert "nothing to split" in VarianceSplit(0.0, 0.0, 100, 8).advice
    with pytest.raises(InputError, match="at least two"):
        variance_split([[1.0, 0.0]])
