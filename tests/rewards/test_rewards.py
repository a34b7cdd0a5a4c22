"""Every reward of the shelf: its extremes, figures by hand, and that order does not matter."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from polychromic.core.errors import InputError, SettingsError, UnsoundObjectiveError
from polychromic.core.nouns import Distances, Labels, SetFunction, Status, Verdict
from polychromic.rewards.mixture import as_set_function
from polychromic.settings.catalog import build, kinds

REWARDS = ["answers", "semantic", "lexical", "vendi", "logdet", "clusters", "mixture", "quality"]
TEXTS = ["red blue", "red blue", "green", "blue red green", ""]
PASSED = [Verdict(Status.PASSED, answer=a) for a in "aabcd"]


def test_the_shelf_is_complete():
    assert set(REWARDS) <= set(kinds("rewards"))


@pytest.mark.parametrize("kind", REWARDS)
def test_any_subset_is_worth_between_nothing_and_one_and_order_does_not_matter(kind, hashing, make_set):
    reward = build("rewards", kind, embedder=hashing)
    whole = as_set_function(reward.evidence(make_set(TEXTS), PASSED))
    order = [3, 0, 4, 2, 1]
    moved = as_set_function(reward.evidence(make_set([TEXTS[i] for i in order]), [PASSED[i] for i in order]))
    assert whole.value([], 5) == 0.0
    for size in range(1, 6):
        for members in itertools.combinations(range(5), size):
            value = whole.value(members, size)
            assert 0.0 <= value <= 1.0 + 1e-12
            assert moved.value([order.index(i) for i in members], size) == pytest.approx(value, abs=1e-6)


@pytest.mark.parametrize("kind", REWARDS)
def test_an_invalid_sample_takes_a_place_and_adds_nothing(kind, hashing, make_set):
    whole = as_set_function(build("rewards", kind, embedder=hashing).evidence(make_set(TEXTS), PASSED))
    assert whole.value([0, 2], 5) < whole.value([0, 2], 2)


@pytest.mark.parametrize(
    ("reward", "metric", "over"),
    [
        ("answers", {"kind": "distinct_correct", "k": 4}, 4),
        ("semantic", "semantic", 1),
        ("lexical", "jaccard", 1),
        ({"kind": "lexical", "statistic": "distinct"}, {"kind": "distinct", "n": 2}, 1),
        ({"kind": "lexical", "statistic": "ead", "vocabulary": 50}, {"kind": "ead", "n": 2, "vocabulary": 50}, 1),
        ({"kind": "vendi", "q": 2.0}, {"kind": "vendi", "q": 2.0}, 4),
        ({"kind": "logdet", "scale": 3.0}, {"kind": "logdet", "scale": 3.0}, 1),
        ({"kind": "clusters", "threshold": 0.5}, {"kind": "clusters", "threshold": 0.5}, 4),
    ],
)
def test_what_is_trained_is_what_is_reported(reward, metric, over, hashing, make_set, monkeypatch):
    """The worth of a set whose samples all count is the metric of that set, up to its size.

    No two texts are opposed here: the reward caps their distance at 1, the metric does not.
    """
    embed = hashing.embed
    monkeypatch.setattr(type(hashing), "embed", lambda self, texts: np.abs(embed(texts)))
    samples, judged = make_set(["red blue", "red blue", "green tea now", "blue red green"]), [PASSED[:4]]
    trained = as_set_function(build("rewards", reward, embedder=hashing).evidence(samples, judged[0]))
    reported = build("metrics", metric, embedder=hashing).measure([samples], judged)[0].value
    assert trained.value(range(4), 4) == pytest.approx(reported / over, abs=1e-6)
    assert 0.0 < reported / over < 1.0


@pytest.mark.parametrize(
    ("kind", "same", "apart"),
    [
        ("semantic", 0.0, 1.0),
        ("vendi", 1 / 4, 1.0),
        ("logdet", np.log(5) / (4 * np.log(2)), 1.0),
        ("clusters", 1 / 4, 1.0),
    ],
)
def test_the_extremes_of_embeddings(kind, same, apart, axes, make_set):
    reward = build("rewards", kind, embedder=axes)
    for texts, expected in ((["1"] * 4, same), (["0", "1", "2", "3"], apart)):
        value = as_set_function(reward.evidence(make_set(texts), None)).value(range(4), 4)
        assert value == pytest.approx(expected, abs=1e-6)


def test_opposed_texts_are_worth_no_more_than_unrelated_ones(axes, make_set):
    rows = build("rewards", "semantic", embedder=axes).evidence(make_set(["0", "-0", "1"]), None).rows
    np.testing.assert_allclose(rows, 1.0 - np.eye(3), atol=1e-6)


def test_answers_are_the_tasks_canonical_form_or_the_folded_text(make_set):
    reward = build("rewards", "answers")
    verdicts = [Verdict(Status.PASSED, answer="1+2"), Verdict(Status.FAILED), Verdict(Status.PASSED, answer="1+2")]
    assert reward.evidence(make_set(["x", "y", "z"]), verdicts) == Labels(("1+2", None, "1+2"))
    assert reward.evidence(make_set([" A  b\n", "a B", " "]), None) == Labels(("a b", "a b", None))


def test_lexical_statistics_by_hand(make_set):
    samples = make_set(["a b", "a c", "a b"])
    pairs = build("rewards", "lexical").evidence(samples, None)
    assert isinstance(pairs, Distances)
    assert pairs.rows[0] == (0.0, 1 - 1 / 5, 0.0)  # {a, b, ab} and {a, c, ac} share one of five
    distinct = build("rewards", {"kind": "lexical", "statistic": "distinct", "n": 1}).evidence(samples, None)
    assert isinstance(distinct, SetFunction)
    assert distinct.value([0, 1, 2], 3) == pytest.approx(3 / 6)
    assert distinct.value([0, 1], 3) == pytest.approx(3 / 4 * 2 / 3)
    ead = build("rewards", {"kind": "lexical", "statistic": "ead", "n": 1, "vocabulary": 10}).evidence(samples, None)
    assert ead.value([0, 1, 2], 3) == pytest.approx(3 / (10 * (1 - 0.9**6)))


def test_clusters_join_near_duplicates_through_a_third(make_set):
    class Arc:
        name = "arc"

        def embed(self, texts):
            return np.array([[np.cos(float(t)), np.sin(float(t))] for t in texts], dtype=np.float32)

    reward = build("rewards", {"kind": "clusters", "threshold": 0.15}, embedder=Arc())
    value = reward.evidence(make_set(["0.0", "0.5", "1.0"]), None).value
    assert value([0, 1, 2], 3) == pytest.approx(1 / 3)  # cos 0.5 = .88 links; cos 1.0 = .54 does not
    assert value([0, 2], 2) == 1.0


def test_mixture_of_pairs_stays_pairwise_and_others_become_a_set_function(axes, make_set):
    samples = make_set(["0", "1", "0"])
    pairs = build("rewards", {"kind": "mixture", "parts": ["semantic", "lexical"], "weights": [3, 1]}, embedder=axes)
    rows = pairs.evidence(samples, None).rows
    assert rows[0] == pytest.approx((0.0, 1.0, 0.0))
    mixed = build("rewards", {"kind": "mixture", "parts": ["answers", "semantic"], "weights": [3, 1]}, embedder=axes)
    value = mixed.evidence(samples, None).value([0, 1, 2], 3)
    assert value == pytest.approx(0.75 * 2 / 3 + 0.25 * 2 / 3)


def test_quality_multiplies_the_share_that_passed(axes, make_set):
    reward = build("rewards", {"kind": "quality", "of": "semantic"}, embedder=axes)
    verdicts = [Verdict(Status.PASSED, answer="a"), Verdict(Status.FAILED), Verdict(Status.PASSED, answer="a")]
    assert reward.evidence(make_set(["0", "1", "2"]), verdicts).value([0, 1, 2], 3) == pytest.approx(2 / 3)
    with pytest.raises(UnsoundObjectiveError, match="needs a task"):
        reward.evidence(make_set(["0"]), None)


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ({"kind": "vendi", "q": -1.0}, "q must be"),
        ({"kind": "logdet", "scale": 0.0}, "scale must be"),
        ({"kind": "clusters", "threshold": 3.0}, "cosine distance"),
        ({"kind": "lexical", "n": 0}, "n must be"),
        ({"kind": "lexical", "statistic": "rouge"}, "statistic"),
        ({"kind": "mixture", "parts": ["answers"], "weights": [1, 2]}, "one weight"),
        ({"kind": "mixture", "parts": ["answers"], "weights": [-1]}, "one weight"),
        ({"kind": "mixture", "parts": ["nothing"]}, "unknown reward 'nothing'"),
    ],
)
def test_options_that_cannot_be(entry, message, hashing):
    with pytest.raises((InputError, SettingsError), match=message):
        build("rewards", entry, embedder=hashing)


@pytest.mark.parametrize("kind", ["semantic", "vendi", "logdet", "clusters"])
def test_a_reward_of_embeddings_is_not_built_without_an_encoder(kind):
    with pytest.raises(InputError, match="needs an embedder"):
        build("rewards", kind)
