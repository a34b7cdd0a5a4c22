"""Every metric of the shelf keeps the contract, and says why when there is no number."""

from __future__ import annotations

import dataclasses
import itertools
import json
import math
from collections.abc import Callable

import pytest

from polychromic.core.errors import InputError, SettingsError
from polychromic.core.facts import MetricFacts, Role
from polychromic.core.nouns import Example, Prompt, SampleSet
from polychromic.core.protocols import NEEDS, Metric
from polychromic.embedding.hashing import HashingEmbedder
from polychromic.records.rows import from_row, to_row
from polychromic.settings import catalog

KINDS = catalog.kinds("metrics")
TEXTS = ["one two three four five", "one two three four six", "the quick brown fox jumps over", "a b c d e f"]


class Namer:
    """A task whose answer is the stripped text."""

    name = "namer"
    judges = True

    def verify(self, prompt, completion):
        from polychromic.core.nouns import Status, Verdict

        return Verdict(Status.PASSED, "", completion.text.strip())


PARTS = {
    "embedder": HashingEmbedder(),
    "task": Namer(),
    "references": tuple(Example(Prompt(name, "Say."), "one two three four six") for name in "pq"),
}


def build(kind: str, **options: object) -> Metric:
    demonstrations = (Example(Prompt("p", "Say."), "seen before"), Example(Prompt("p", "Say."), "seen again"))
    return catalog.build("metrics", {"kind": kind, **options}, **PARTS, demonstrations=demonstrations)


ASKED = {kind: build(kind).needs for kind in KINDS}
EMBEDDING = [kind for kind in KINDS if "encoder" in ASKED[kind]]
JUDGED = [kind for kind in KINDS if "verifier" in ASKED[kind]]
EACH = [kind for kind in KINDS if "scope:corpus" not in build(kind).signature]
"""Metrics that are a number of each prompt."""


@pytest.fixture
def sets(samples: Callable[..., SampleSet]) -> list[SampleSet]:
    logprobs = [-4.0, -1.0, -2.0, -3.0]
    return [
        samples(TEXTS, "p", tokens=True, logprobs=logprobs, scores=[1.0, 0.5, 0.0, 0.25]),
        samples(TEXTS[::-1], "q", tokens=True, logprobs=logprobs, scores=[1.0, 0.5, 0.0, 0.25]),
    ]


@pytest.mark.parametrize("kind", EACH)
def test_one_measurement_for_each_set_in_order(kind: str, sets: list[SampleSet], judge: Callable) -> None:
    metric = build(kind)
    assert isinstance(metric, Metric)
    assert dataclasses.is_dataclass(metric)
    assert metric.__dataclass_params__.frozen
    found = metric.measure(sets, [judge("AbCb"), judge("AAbc")])
    assert [row.prompt_id for row in found] == ["p", "q"]
    for row in found:
        assert row.signature.split("|")[0] == kind
        assert "common" not in row.signature
        assert math.isfinite(row.value), row
        assert row.reason == ""
        assert row.detail["n"] == 4
        assert all(isinstance(value, int | float) and math.isfinite(value) for value in row.detail.values())
    assert len({row.signature for row in found}) == 1


@pytest.mark.parametrize("kind", EACH)
def test_pinning_fixes_the_signature(kind: str, sets: list[SampleSet], judge: Callable) -> None:
    pinned = build(kind).pinned(sets)
    again = pinned.measure(sets[:1], [judge("AbCb")])
    assert pinned.signature == again[0].signature
    assert again == build(kind).measure(sets, [judge("AbCb"), judge("AAbc")])[:1]


@pytest.mark.parametrize("kind", [kind for kind in KINDS if "k" in (catalog.options("metrics", kind) or {})])
def test_too_few_samples_is_no_number(kind: str, sets: list[SampleSet], judge: Callable) -> None:
    assert_missing(build(kind, k=5).measure(sets[:1], [judge("AbCb")])[0], "needs 5 samples, there are 4")
    assert_missing(build(kind, k=0).measure(sets[:1], [judge("AbCb")])[0], "needs k of at least")


@pytest.mark.parametrize("kind", EMBEDDING)
def test_one_sample_has_no_distance(kind: str, samples: Callable[..., SampleSet], judge: Callable) -> None:
    assert_missing(build(kind).measure([samples(["only one"])], [judge("A")])[0], "needs")


@pytest.mark.parametrize("kind", KINDS)
def test_empty_texts_are_no_gain(kind: str, samples: Callable[..., SampleSet], judge: Callable) -> None:
    """Four failures without a text: no number, or none that is better than one right answer given four times."""
    metric = build(kind)
    empty = metric.measure([samples(["", "", " ", ""], logprobs=[-1.0] * 4)], [judge("----")])[0]
    alike = metric.measure([samples(["a b c d e f g h" * 4] * 4, logprobs=[-1.0] * 4)], [judge("AAAA")])[0]
    assert math.isnan(empty.value) == bool(empty.reason)
    if not empty.reason and not alike.reason:
        assert metric.direction * empty.value <= metric.direction * alike.value + 1e-12


@pytest.mark.parametrize("kind", KINDS)
def test_a_metric_says_what_it_means(kind: str, sets: list[SampleSet]) -> None:
    metric = build(kind).pinned(sets)
    assert isinstance(metric, Metric)
    facts = MetricFacts.of(metric, metric.signature)
    assert facts.kind == kind
    assert "{" not in facts.title
    assert "?" not in facts.title
    assert facts.direction in (-1, 0, 1)
    assert facts.role != Role.DIVERSITY or facts.direction
    assert set(metric.needs) <= set(NEEDS)
    assert from_row(MetricFacts, json.loads(json.dumps(to_row(facts)))) == facts
    assert all(build(kind, **options).pinned(sets) for options in metric.defaults(4))


def test_headlines_have_ranks_of_their_own() -> None:
    ranks = [rank for kind in KINDS if (rank := build(kind).headline)]
    assert len(ranks) == len(set(ranks))
    assert ranks


@pytest.mark.parametrize("kind", EMBEDDING)
def test_a_missing_encoder_is_no_number(kind: str, sets: list[SampleSet]) -> None:
    row = catalog.build("metrics", kind).measure(sets, None)[0]
    assert_missing(row, "there is no encoder")
    assert "encoder:none" in row.signature


@pytest.mark.parametrize("kind", JUDGED)
def test_missing_or_absent_verdicts_are_neither_pass_nor_fail(
    kind: str, sets: list[SampleSet], judge: Callable
) -> None:
    assert_missing(build(kind).measure(sets, None)[0], "there are no verdicts")
    rows = build(kind).measure(sets, [judge("A?bC"), judge("AAbc")])
    assert_missing(rows[0], "1 of 4 completions were not judged")
    assert math.isfinite(rows[1].value)


@pytest.mark.parametrize("kind", KINDS)
def test_verdicts_of_other_samples_are_refused(kind: str, sets: list[SampleSet], judge: Callable) -> None:
    if kind in EMBEDDING:
        return
    for wrong in ([judge("AbCb")], [judge("AbCb"), judge("A")]):
        with pytest.raises(InputError, match="do not match"):
            build(kind).measure(sets, wrong)


@pytest.mark.parametrize("kind", KINDS)
def test_no_sets_no_measurements(kind: str) -> None:
    assert build(kind).measure([], None) == []


@pytest.mark.parametrize("kind", KINDS)
def test_options_are_in_the_signature(kind: str) -> None:
    """An option that changes the number changes the signature, for some choice of the other options at least."""
    types = catalog.options("metrics", kind)
    choices = {name: type_.literals for name, type_ in types.items() if type_.literals}
    every = [dict(zip(choices, picked, strict=True)) for picked in itertools.product(*choices.values())]
    for name, type_ in types.items():
        values = [*type_.literals, *([0.25, 0.75] if float in (type_.types or ()) else [3, 5])]
        found = [{signature(kind, options | {name: value}) for value in values} - {None} for options in every]
        assert max(map(len, found)) > 1, name


def signature(kind: str, options: dict[str, object]) -> str | None:
    """None for options that the kind refuses together."""
    try:
        return build(kind, **options).signature
    except (InputError, SettingsError):
        return None


def assert_missing(row: object, reason: str) -> None:
    assert math.isnan(row.value), row
    assert math.isnan(row.numerator)
    assert math.isnan(row.denominator)
    assert row.reason
    assert reason in row.reason, row.reason
