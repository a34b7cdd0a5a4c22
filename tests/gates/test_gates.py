"""Which completions count, gate by gate."""

from __future__ import annotations

import math

import pytest

from polychromic.core.errors import InputError, UnsoundObjectiveError
from polychromic.core.nouns import Completion, Decoding, Prompt, SampleSet, Status, Verdict
from polychromic.gates.likelihood import threshold_of
from polychromic.gates.wellformed import repetition
from polychromic.settings.catalog import build, kinds


def samples(*completions: Completion) -> SampleSet:
    return SampleSet(Prompt("p", "say"), completions, Decoding())


WHOLE, CUT = Completion("one two three"), Completion("one two three", finished=False)


def test_the_shelf_is_complete():
    assert kinds("gates") == ["likelihood", "none", "verifier", "wellformed"]


@pytest.mark.parametrize("kind", ["likelihood", "none", "verifier", "wellformed"])
def test_truncated_completions_count_only_when_told(kind):
    parts = {"reference": lambda s: [-1.0] * len(s.completions)}
    options = {"threshold": -2.0} if kind == "likelihood" else {}
    verdicts = [Verdict(Status.PASSED)] * 2
    strict = build("gates", {"kind": kind, **options}, **parts)
    lenient = build("gates", {"kind": kind, "truncated": "valid", **options}, **parts)
    assert strict.validity(samples(WHOLE, CUT), verdicts) == (1.0, 0.0)
    assert lenient.validity(samples(WHOLE, CUT), verdicts) == (1.0, 1.0)


def test_only_a_pass_passes_the_verifier():
    verdicts = [Verdict(status) for status in Status]
    valid = build("gates", "verifier").validity(samples(*[WHOLE] * len(verdicts)), verdicts)
    assert valid == tuple(float(status is Status.PASSED) for status in Status)
    with pytest.raises(UnsoundObjectiveError, match="needs a task"):
        build("gates", "verifier").validity(samples(WHOLE), None)


def test_likelihood_asks_the_reference_and_counts_nan_as_invalid():
    gate = build("gates", {"kind": "likelihood", "threshold": -1.0}, reference=lambda s: [-0.5, -1.0, -1.5, math.nan])
    assert gate.validity(samples(WHOLE, WHOLE, WHOLE, WHOLE), None) == (1.0, 1.0, 0.0, 0.0)
    with pytest.raises(UnsoundObjectiveError, match="threshold"):
        build("gates", "likelihood", reference=lambda s: [0.0]).validity(samples(WHOLE), None)
    with pytest.raises(InputError, match="needs a reference"):
        build("gates", "likelihood")


def test_the_threshold_is_the_demonstrations_quantile():
    values = [-1.0, -2.0, -3.0, -4.0, -5.0, math.nan, -math.inf]
    assert threshold_of(values, 0.0) == -5.0
    assert threshold_of(values, 0.25) == -4.0
    with pytest.raises(UnsoundObjectiveError, match="finite"):
        threshold_of([math.nan], 0.5)


@pytest.mark.parametrize(
    ("text", "counts"),
    [
        ("", 0.0),
        (" \n", 0.0),
        ("well", 1.0),
        ("a b c d e f", 1.0),
        ("a b c " * 3, 0.0),  # 7 trigrams, 3 different: 4/7 are repeats
        ("a b c a b c", 1.0),  # 4 trigrams, 3 different
    ],
)
def test_wellformed(text, counts):
    assert build("gates", "wellformed").validity(samples(Completion(text)), None) == (counts,)


def test_repetition_by_hand():
    assert repetition(["a", "b", "c", "a", "b", "c", "a", "b", "c"], 3) == pytest.approx(4 / 7)
    assert repetition(["a"], 3) == 0.0


@pytest.mark.parametrize(
    "entry",
    [
        {"kind": "wellformed", "max_repetition": 1.5},
        {"kind": "wellformed", "ngram": 0},
        {"kind": "likelihood", "quantile": 2.0},
    ],
)
def test_options_that_cannot_be(entry):
    with pytest.raises(InputError):
        build("gates", entry, reference=lambda s: [])
