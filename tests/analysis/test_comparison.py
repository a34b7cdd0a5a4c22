"""The content of comparison.json: traceable, antisymmetric, honest about what is missing."""

import json
import math

import numpy as np
import pytest

from polychromic.analysis import comparison
from polychromic.analysis.record import CompareSettings
from polychromic.analysis.resampling import Plan
from polychromic.analysis.table import known_facts
from polychromic.core.errors import InputError
from polychromic.core.facts import Role
from polychromic.core.nouns import CORPUS_LEVEL
from polychromic.records.measurements import MeasurementRow
from polychromic.records.rows import from_row, to_row
from polychromic.settings.catalog import kind_class, kinds

MODELS = {"base": (-1.0, 6), "sft": (0.3, 2), "moderate": (0.25, 4), "aggressive": (-0.4, 6)}
QUICK = Plan(resamples=1000)


def compare(rows, *more):
    """What the stage writes for a file of these rows that says nothing about its metrics."""
    rows = [from_row(MeasurementRow, row) for row in rows]
    return to_row(comparison.compare(rows, known_facts("/nowhere/measurements.jsonl", rows), *more))


def row(model, prompt, value, signature="pass_at_k|k:1", temperature=1.0, reason=""):
    return {
        "model": model,
        "temperature": temperature,
        "prompt_id": prompt,
        "signature": signature,
        "numerator": value,
        "denominator": 1.0,
        "reason": reason,
    }


@pytest.fixture(scope="module")
def rows(synthetic_rows):
    return synthetic_rows(MODELS)


@pytest.fixture(scope="module")
def found(rows):
    return compare(rows, CompareSettings("sft", "base", QUICK))


def test_scores_are_means_of_the_rows(rows, found):
    for score in found["scores"][:12]:
        key = (score["model"], score["temperature"], score["signature"])
        own = [r["numerator"] for r in rows if (r["model"], r["temperature"], r["signature"]) == key]
        assert score["score"] == pytest.approx(np.mean(own), abs=1e-12)
        assert score["interval"][0] < score["score"] < score["interval"][1]


def test_every_variant_is_compared_with_baseline_and_base(found):
    pairs = {(each["a"], each["b"]) for each in found["differences"]}
    assert pairs == {
        ("sft", "base"),
        ("sft", "moderate"),
        ("sft", "aggressive"),
        ("base", "moderate"),
        ("base", "aggressive"),
    }


def test_verdicts(found):
    levels = {verdict["model"]: verdict["level"] for verdict in found["verdicts"]}
    assert levels == {"moderate": "strong", "aggressive": "weak"}  # the second pays with correctness


def test_a_null_comparison_says_no_difference(synthetic_rows):
    """Two models that are the same but for chance, whatever the level the chance gives."""
    for seed, prompts in ((0, 200), (7, 30)):
        null = synthetic_rows({"sft": (0.0, 3), "same": (0.0, 3)}, (1.0,), prompts=prompts, seed=seed)
        (verdict,) = compare(null, CompareSettings("sft", plan=QUICK))["verdicts"]
        assert verdict["level"] in ("no useful gain", "not resolvable")
        assert "no difference" in verdict["sentence"].lower()
        assert verdict["following"]


def test_the_untrained_base_is_named_where_it_is_better(synthetic_rows):
    rows = synthetic_rows({"base": (0.5, 12), "sft": (0.6, 2), "new": (0.5, 4)}, (1.0,))
    found = compare(rows, CompareSettings("sft", "base", QUICK))
    assert [(each["model"], each["better"]) for each in found["bases"]] == [("sft", "base"), ("new", "base")]
    assert found["bases"][1]["sentence"].startswith(
        "new is not better than the base: the untrained base has more different right answers than new "
        "(distinct and correct@10 "
    )
    assert found["verdicts"][0]["following"].startswith("deploy the base where this counts")


def test_better_than_the_base_is_said_too(found):
    said = {each["model"]: each for each in found["bases"]}
    assert said["moderate"]["better"] == "model"
    assert "than the untrained base" in said["moderate"]["sentence"]
    rows = [row(model, f"p{i}", i % 2) for model in ("base", "sft") for i in range(30)]
    (only,) = compare(rows, CompareSettings("sft", "base", QUICK))["bases"]
    assert only["sentence"] == "sft is not better than the base: no row shows it better than the untrained base."


def test_each_model_is_compared_with_its_own_base(synthetic_rows):
    models = {"small": (-1.0, 3), "large": (0.0, 3), "a": (0.0, 3), "b": (0.5, 3)}
    settings = CompareSettings("a", "small", QUICK, bases={"a": "small", "b": "large"})
    found = compare(synthetic_rows(models, (1.0,), prompts=60), settings)
    pairs = {(each["a"], each["b"]) for each in found["differences"]}
    assert pairs == {("a", "small"), ("a", "large"), ("a", "b"), ("large", "b")}
    assert [(each["model"], each["base"]) for each in found["bases"]] == [("a", "small"), ("b", "large")]
    assert [verdict["model"] for verdict in found["verdicts"]] == ["b"]


def test_the_matrix_is_a_family_of_its_own(found):
    sizes = {
        (each["metric"] in {line["metric"] for line in found["verdicts"][0]["matrix"]}, each["family"])
        for each in found["differences"]
        if each["a"] == "sft"
    }
    assert sizes == {(True, 9), (False, 12)}  # three others x (pass@1, pass@10, distinct and correct@10), and the rest


def test_antisymmetric(rows):
    forth = compare(rows, CompareSettings("sft", plan=QUICK))
    back = compare(rows, CompareSettings("moderate", plan=QUICK))
    key = lambda each: (each["metric"], each["temperature"])  # noqa: E731
    one = {key(each): each for each in forth["differences"] if each["b"] == "moderate"}
    two = {key(each): each for each in back["differences"] if each["b"] == "sft"}
    for name, each in one.items():
        assert each["difference"] == pytest.approx(-two[name]["difference"])
        assert each["interval"] == pytest.approx([-two[name]["interval"][1], -two[name]["interval"][0]])
        assert each["p"] == two[name]["p"]
        assert each["minimum_detectable_effect"] == pytest.approx(two[name]["minimum_detectable_effect"])


def test_a_number_about_all_prompts_has_no_interval_no_p_and_no_say():
    """MAUVE and what compares the completions of all prompts: shown, but never the ground of a verdict, nor missed."""
    whole = "semantic|k:4|encoder:hashing|scope:corpus"
    rows = [row(model, f"p{i}", 0.2 + 0.01 * i + extra, "distinct|n:2|tok:words|k:4|scope:prompt")
            for model, extra in (("sft", 0.0), ("new", 0.1)) for i in range(30)]  # fmt: skip
    for model, value in (("sft", 0.1), ("new", 0.9)):
        rows += [row(model, f"p{i}", None if i else value, whole, reason=CORPUS_LEVEL if i else "") for i in range(30)]
    found = compare(rows, CompareSettings("sft", plan=QUICK))
    only = next(each for each in found["differences"] if each["metric"] == whole)
    assert only["difference"] == pytest.approx(0.8)
    assert (only["interval"], only["p"], only["p_holm"], only["prompts"]) == ([None, None], None, None, 1)
    (verdict,) = found["verdicts"]
    assert verdict["metrics"] == ["distinct|n:2|tok:words|k:4|scope:prompt"]
    assert not any("one number" in flag["text"] or "of 1 prompts" in flag["text"] for flag in found["flags"])


DIVERSITY = [kind for kind in kinds("metrics") if kind_class("metrics", kind).role == Role.DIVERSITY]


@pytest.mark.parametrize("kind", DIVERSITY)
def test_a_verdict_rests_on_any_diversity_metric(kind):
    metric = kind_class("metrics", kind)()
    rows = [row("sft", f"p{i}", 1.0 + i % 3, metric.signature) for i in range(40)]
    rows += [row("new", f"p{i}", (1.0 + i % 3) * (1 + 0.4 * metric.direction), metric.signature) for i in range(40)]
    (verdict,) = compare(rows, CompareSettings("sft", plan=QUICK))["verdicts"]
    assert (verdict["level"], verdict["metrics"]) == ("strong", [metric.signature])


def test_a_model_against_its_copy():
    rows = [row(model, f"p{i}", i % 2) for model in ("sft", "copy") for i in range(30)]
    found = compare(rows, CompareSettings("sft", plan=QUICK))
    only = found["differences"][0]
    assert (only["difference"], only["interval"], only["p"]) == (0.0, [0.0, 0.0], 1.0)
    assert only["minimum_detectable_effect"] is None
    assert "no prompt differs" in only["reason"]


def test_missing_values_are_dropped_pairwise_and_said():
    rows = [row("sft", f"p{i}", 1.0 if i < 10 else 0.0) for i in range(20)]
    rows += [row("new", f"p{i}", 1.0) for i in range(15)]
    rows += [row("new", f"p{i}", None, reason="n < k") for i in range(15, 20)]
    found = compare(rows, CompareSettings("sft", plan=QUICK))
    only = found["differences"][0]
    assert only["prompts"] == 15
    assert only["score_a"] == pytest.approx(10 / 15)
    assert only["test"] == "McNemar, exact"
    assert only["p"] == pytest.approx(2 * 0.5**5)
    assert "5 of 20 prompts left out" in only["reason"]
    assert any(flag["kind"] == "missing" and "n < k" in flag["text"] for flag in found["flags"])


def test_nothing_computed_is_null_with_a_reason():
    rows = [row(model, f"p{i}", None, reason="no encoder") for model in ("sft", "new") for i in range(5)]
    found = compare(rows, CompareSettings("sft", plan=QUICK))
    assert found["scores"][0]["score"] is None
    assert found["scores"][0]["reason"] == "no encoder (5 prompts)"
    only = found["differences"][0]
    assert only["difference"] is None
    assert only["p"] is None
    assert "no encoder" in only["reason"]
    json.dumps(found, allow_nan=False)


def test_disjoint_prompts_are_refused_not_compared():
    rows = [row("sft", f"a{i}", 1.0) for i in range(5)] + [row("new", f"b{i}", 1.0) for i in range(5)]
    with pytest.raises(InputError, match="share no prompt"):
        compare(rows, CompareSettings("sft", plan=QUICK))


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([], "no rows"),
        ([row("sft", "p", 1.0), row("sft", "p", 1.0)], "measured twice"),
        ([row("other", "p", 1.0)], "'sft' was not measured; there are other"),
    ],
)
def test_bad_rows(rows, message):
    with pytest.raises(InputError, match=message):
        compare(rows, CompareSettings("sft", plan=QUICK))


def test_corpus_ratio_is_a_ratio_of_sums():
    rows = [row("sft", f"p{i}", n) | {"denominator": d} for i, (n, d) in enumerate([(1, 2), (9, 10)])]
    rows += [row("new", f"p{i}", n) | {"denominator": d} for i, (n, d) in enumerate([(2, 2), (9, 10)])]
    only = compare(rows, CompareSettings("sft", plan=QUICK))["differences"][0]
    assert only["score_a"] == pytest.approx(10 / 12)
    assert only["difference"] == pytest.approx(1 / 12)
    assert not math.isnan(only["p"])


def test_too_few_resamples_for_holm_are_flagged(rows):
    found = compare(rows, CompareSettings("sft", "base", Plan(resamples=200)))
    assert any(flag["kind"] == "resamples" for flag in found["flags"])


def test_different_prompt_sets_are_flagged():
    rows = [row("sft", f"p{i}", i % 2) for i in range(30)] + [row("new", f"p{i}", 1 - i % 2) for i in range(25)]
    flags = compare(rows, CompareSettings("sft", plan=QUICK))["flags"]
    assert any(flag["kind"] == "prompts" and "new lacks 5" in flag["text"] for flag in flags)


def test_the_verdict_rests_on_a_metric_that_was_computed():
    rows = [
        row(model, f"p{i}", None, "distinct_correct|k:8", reason="no answers")
        for model in ("sft", "new")
        for i in range(30)
    ]
    rows += [row("sft", f"p{i}", 0.2 + 0.01 * (i % 3), "distinct|n:2") for i in range(30)]
    rows += [row("new", f"p{i}", 0.4 + 0.01 * (i % 5), "distinct|n:2") for i in range(30)]
    found = compare(rows, CompareSettings("sft", plan=QUICK))["verdicts"][0]
    assert found["level"] == "strong"
    assert found["metrics"] == ["distinct|n:2"]


def test_all_pairs_are_one_family_and_the_baselines_own_numbers_stay(rows, found):
    every = compare(rows, CompareSettings("sft", "base", QUICK, pairs="all"))
    pairs = {(each["a"], each["b"]) for each in every["differences"]}
    assert pairs == {(each["a"], each["b"]) for each in found["differences"]} | {("moderate", "aggressive")}
    own = {(each["metric"], each["a"], each["b"], each["temperature"]): each for each in every["differences"]}
    for before in found["differences"]:
        after = own[before["metric"], before["a"], before["b"], before["temperature"]]
        assert (after["difference"], after["p"], after["interval"]) == (
            before["difference"],
            before["p"],
            before["interval"],
        )
        assert after["p_holm"] >= before["p_holm"]
        assert after["family"] == 2 * before["family"] if before["a"] == "sft" else 3 * before["family"]
    with pytest.raises(InputError, match="pairs: baseline and all are allowed"):
        CompareSettings("sft", pairs="some")
