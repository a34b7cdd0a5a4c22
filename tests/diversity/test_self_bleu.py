"""Self-BLEU against nltk, to the last bit."""

from __future__ import annotations

import math
import random
import warnings
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from nltk.translate.bleu_score import SmoothingFunction, sentence_bleu

from polychromic.core.errors import InputError
from polychromic.diversity import self_bleu

METHODS = list(self_bleu.SMOOTHING)
TEXTS = st.lists(
    st.lists(st.sampled_from(["a", "b", "c", "New York", "é", "の", ""]), max_size=9), min_size=2, max_size=6
)


def by_nltk(texts: Sequence[Sequence[str]], order: int, smoothing: str) -> list[float]:
    method = getattr(SmoothingFunction(), smoothing)
    out = []
    for i, text in enumerate(texts):
        others = [other for j, other in enumerate(texts) if j != i]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            out.append(float(sentence_bleu(others, text, (1 / order,) * order, method)))
    return out


def same_bits(ours: list[float], theirs: list[float]) -> bool:
    return np.asarray(ours).tobytes() == np.asarray(theirs).tobytes()


@pytest.mark.parametrize("smoothing", METHODS)
@settings(max_examples=150, deadline=None)
@given(texts=TEXTS, order=st.integers(1, 6))
def test_bit_equal_to_nltk(smoothing: str, texts: list[list[str]], order: int) -> None:
    ours = self_bleu.self_bleu_scores(texts, (order,), smoothing)[order]
    assert same_bits(ours, by_nltk(texts, order, smoothing)), (ours, by_nltk(texts, order, smoothing))


@pytest.mark.parametrize("smoothing", METHODS)
def test_bit_equal_on_longer_texts_in_several_orders(smoothing: str) -> None:
    rng = random.Random(smoothing)
    vocabulary = [f"w{i}" for i in range(40)]
    texts = [rng.choices(vocabulary, [1 / (i + 1) for i in range(40)], k=rng.randint(0, 60)) for _ in range(30)]
    texts += [[], ["w0"], texts[0], ["w0", "w1"], texts[3][:3]]
    orders = (1, 2, 3, 4, 5)
    ours = self_bleu.self_bleu_scores(texts, orders, smoothing)
    for order in orders:
        assert same_bits(ours[order], by_nltk(texts, order, smoothing)), order


@pytest.mark.parametrize("small", ["PART", "PACKED"])
def test_bit_equal_in_many_parts_and_without_packing(small: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """As with millions of n-grams, and with more of them than fit in an integer beside their place."""
    monkeypatch.setattr(self_bleu, small, 16)
    rng = random.Random(7)
    texts = [rng.choices("abcdefg", k=rng.randint(0, 40)) for _ in range(30)]
    texts += [["a"] * 90, [], texts[0], texts[1][2:]]
    ours = self_bleu.self_bleu_scores(texts, (2, 4))
    for order in (2, 4):
        assert same_bits(ours[order], by_nltk(texts, order, "method1"))


def test_edges() -> None:
    assert self_bleu.self_bleu([["a"] * 5] * 3) == {4: 1.0}
    assert self_bleu.self_bleu([list("abcde"), list("fghij")]) == {4: 0.0}
    assert math.isnan(self_bleu.self_bleu([list("abcde")])[4])
    assert math.isnan(self_bleu.self_bleu([])[4])
    assert self_bleu.self_bleu([[], []]) == {4: 0.0}
    with pytest.raises(InputError, match="unknown smoothing 'method9'; there are method0"):
        self_bleu.self_bleu([["a"], ["a"]], smoothing="method9")
    with pytest.raises(InputError, match="orders of at least 1"):
        self_bleu.self_bleu([["a"], ["a"]], orders=())


def test_all_other_texts_are_references() -> None:
    texts = [list("abcdef"), list("uvwxyz"), list("abcdef")]
    assert self_bleu.self_bleu_scores(texts)[4] == [1.0, 0.0, 1.0]


@given(TEXTS, st.randoms())
def test_order_of_texts_does_not_matter(texts: list[list[str]], rng: random.Random) -> None:
    mixed = list(texts)
    rng.shuffle(mixed)
    assert self_bleu.self_bleu(mixed) == self_bleu.self_bleu(texts)


@given(st.lists(st.integers(0, 12), min_size=2, max_size=8))
def test_closest_other_length(lengths: list[int]) -> None:
    expected = [
        min((other for j, other in enumerate(lengths) if j != i), key=lambda r, own=own: (abs(r - own), r))
        for i, own in enumerate(lengths)
    ]
    assert self_bleu.closest_other_length(np.array(lengths)).tolist() == expected
