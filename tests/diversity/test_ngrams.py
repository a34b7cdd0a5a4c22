from __future__ import annotations

from collections import Counter
from itertools import combinations
from math import log

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from nltk.util import ngrams as nltk_ngrams
from scipy.stats import entropy as scipy_entropy

from polychromic.core.errors import InputError
from polychromic.diversity import ngrams

COUNTS = st.lists(st.integers(1, 4), min_size=1, max_size=4)


@given(st.text(max_size=12), st.integers(1, 5))
def test_ngrams_are_those_of_nltk(text: str, n: int) -> None:
    assert ngrams.ngrams(text, n) == list(nltk_ngrams(text, n))


def test_ngrams_do_not_run_across_texts() -> None:
    assert ngrams.ngram_counts(["ab", "cd", ""], 2) == Counter({("a", "b"): 1, ("c", "d"): 1})
    with pytest.raises(InputError, match="order"):
        ngrams.ngrams("ab", 0)


@given(COUNTS, st.data())
def test_rarefied_distinct_counts_subsets(counts: list[int], data: st.DataObject) -> None:
    grams = [g for g, times in enumerate(counts) for _ in range(times)]
    m = data.draw(st.integers(1, min(len(grams), 6)))
    mean = np.mean([len(set(s)) / m for s in combinations(grams, m)])
    assert ngrams.rarefied_distinct(counts, m) == pytest.approx(mean, abs=1e-12)
    assert ngrams.rarefied_distinct(counts, len(grams)) == pytest.approx(ngrams.distinct(counts))


def test_rarefied_distinct_is_flat_in_length_where_distinct_falls() -> None:
    rng = np.random.default_rng(0)
    weights = 1 / np.arange(1, 200)

    def means(length: int) -> np.ndarray:
        drawn = [rng.choice(199, size=16 * length, p=weights / weights.sum()) for _ in range(50)]
        counts = [np.unique(tokens, return_counts=True)[1] for tokens in drawn]
        return np.mean([(ngrams.distinct(c), ngrams.rarefied_distinct(c, 200)) for c in counts], axis=0)

    (short, short_rarefied), (long, long_rarefied) = means(20), means(400)
    assert long < 0.2 * short
    assert long_rarefied == pytest.approx(short_rarefied, rel=0.02)


def test_no_ngrams_is_not_a_number() -> None:
    for value in (
        ngrams.distinct([]),
        ngrams.rarefied_distinct([], 1),
        ngrams.rarefied_distinct([2], 3),
        ngrams.expectation_adjusted_distinct([], 100),
        ngrams.entropy([]),
    ):
        assert np.isnan(value)
    with pytest.raises(InputError, match="m must"):
        ngrams.rarefied_distinct([1], 0)
    with pytest.raises(InputError, match="vocabulary"):
        ngrams.expectation_adjusted_distinct([1], 1)


@given(COUNTS, st.integers(2, 50_000))
def test_ead_is_the_formula_of_the_paper(counts: list[int], vocabulary: int) -> None:
    expected = len(counts) / (vocabulary * (1 - ((vocabulary - 1) / vocabulary) ** sum(counts)))
    assert ngrams.expectation_adjusted_distinct(counts, vocabulary) == pytest.approx(expected, rel=1e-6)


@given(COUNTS)
def test_entropy_is_that_of_scipy(counts: list[int]) -> None:
    assert ngrams.entropy(counts) == pytest.approx(float(scipy_entropy(counts)), abs=1e-12)
    assert ngrams.entropy([3] * 5) == pytest.approx(log(5))


def test_jaccard_distances() -> None:
    got = ngrams.jaccard_distances([["a", "b"], ["a", "c"], [], [], ["a", "b"]], 2)
    assert got[0, 1] == pytest.approx(1 - 1 / 5)
    assert got[0, 2] == 1.0
    assert got[2, 3] == 0.0
    assert got[0, 4] == 0.0
    np.testing.assert_array_equal(got, got.T)
