"""Verdicts from made-up rows: every level, and what each needs."""

import math
from dataclasses import replace

import pytest

from polychromic.analysis.nouns import NO_INTERVAL, Difference
from polychromic.analysis.verdict import Thresholds, clear, disagreement, judge
from polychromic.core.facts import MetricFacts
from polychromic.settings.catalog import kind_class

LIMITS = Thresholds()


def row(metric, a, change, half, p_holm=0.001, smallest=0.05):
    difference = change * a
    facts = MetricFacts.of(kind_class("metrics", metric.partition("|")[0]), metric)
    return Difference(
        metric=metric,
        title=facts.title,
        role=facts.role,
        direction=facts.direction,
        headline=facts.headline,
        a="sft",
        b="new",
        temperature=1.0,
        score_a=a,
        score_b=a + difference,
        difference=difference,
        interval=(difference - half * a, difference + half * a),
        p_holm=p_holm,
        minimum_detectable_effect=smallest * a,
    )


def diversity(change, half=0.03, **more):
    return row("distinct_correct|k:8", 2.0, change, half, **more)


def reach(change, half=0.03, **more):
    return row("pass_at_k|k:10", 0.7, change, half, **more)


def quality(change, half=0.02, **more):
    return row("pass_at_k|k:1", 0.5, change, half, **more)


@pytest.mark.parametrize(
    ("rows", "level"),
    [
        ((diversity(0.30), reach(0.0, p_holm=1.0), quality(-0.01)), "strong"),
        ((diversity(0.26), None, None), "strong"),
        ((diversity(0.02, p_holm=0.9), reach(0.22), quality(0.0)), "strong"),
        ((diversity(0.30), None, quality(-0.07)), "moderate"),
        ((diversity(0.15), None, quality(-0.07)), "moderate"),
        ((diversity(0.30), None, quality(-0.12)), "weak"),
        ((diversity(0.06), None, quality(0.0)), "weak"),
        ((diversity(0.02, half=0.05, p_holm=0.4), None, quality(0.0)), "weak"),
        ((diversity(0.05, half=0.2, p_holm=0.4, smallest=0.25), None, quality(0.0)), "not resolvable"),
        ((diversity(0.30, p_holm=0.06), None, quality(0.0)), "not resolvable"),
        ((diversity(0.30, half=0.4), None, quality(0.0)), "not resolvable"),
        ((diversity(-0.2), reach(0.3), quality(0.0)), "worse"),
        ((None, None, quality(0.0)), "not resolvable"),
    ],
)
def test_levels(rows, level):
    assert judge(*rows, LIMITS).level == level


def test_a_small_loss_is_not_called_slightly_more_diverse():
    found = judge(diversity(-0.01, half=0.03, p_holm=0.9), None, quality(0.0), LIMITS)
    assert found.level == "weak"
    assert found.sentence.startswith("new is no more diverse than sft")


def test_without_intervals_nothing_is_claimed_and_nothing_reads_nan():
    rows = [replace(each, interval=NO_INTERVAL, p_holm=1.0) for each in (diversity(0.5), quality(0.1))]
    found = judge(replace(rows[0], minimum_detectable_effect=math.nan), None, rows[1], LIMITS)
    assert found.level == "not resolvable"
    assert (
        "(+50.0%, no interval); not clear of 0. The smallest effect these prompts would show is not known."
        in (found.reasoning[0])
    )
    assert found.reasoning[1].endswith("how large a loss there may be is not known.")
    assert "nan" not in " ".join(found.reasoning)


def test_less_is_better():
    bleu = row("self_bleu|n:4", 0.8, -0.3, 0.02)
    assert judge(bleu, None, None, LIMITS).level == "strong"
    assert clear(bleu, LIMITS) == 1
    assert judge(row("self_bleu|n:4", 0.8, 0.3, 0.02), None, None, LIMITS).level == "worse"


def test_reasoning_says_numbers_and_thresholds():
    found = judge(diversity(0.30), reach(0.01, p_holm=0.8), quality(-0.02), LIMITS)
    text = " ".join(found.reasoning)
    assert "2.000 -> 2.600 (+30.0%, 95% interval +27.0% to +33.0%)" in text
    assert "strong from +25%" in text
    assert "a loss of up to 4.0% cannot be excluded" in text
    said = "new is much more diverse than sft at equal quality: distinct and correct@8 +30.0%, pass@1 -2.0%."
    assert found.sentence == said


def test_paid_with_quality_is_said():
    found = judge(diversity(0.4), None, quality(-0.3), LIMITS)
    assert "pays for it with correctness" in found.sentence


def test_no_loss_in_the_interval_is_said_plainly():
    assert any("no loss lies" in line for line in judge(diversity(0.3), None, quality(0.1), LIMITS).reasoning)


def test_metrics_that_disagree_are_named():
    fallen = row("semantic|k:16", 0.2, -0.1, 0.02)
    (said,) = disagreement([diversity(0.3), fallen, quality(-0.5)], LIMITS)
    assert "semantic diversity 0.200 -> 0.180" in said
    assert disagreement([diversity(0.3), row("semantic|k:16", 0.2, -0.1, 0.3)], LIMITS) == []


def test_missing_quality_is_said():
    assert any("Quality was not measured" in line for line in judge(diversity(0.3), None, None, LIMITS).reasoning)


def test_thresholds_are_settings():
    assert judge(diversity(0.30), None, None, Thresholds(strong_diversity=0.5)).level == "moderate"


def test_baseline_of_zero_has_no_relative_gain():
    zero = replace(diversity(0.3), score_a=0.0, score_b=0.4, difference=0.4, interval=(0.3, 0.5))
    found = judge(zero, None, None, LIMITS)
    assert found.level == "strong"
    assert "from 0 to 0.400" in found.sentence
    assert "0.000 -> 0.400" in found.reasoning[0]


def test_a_metric_that_was_not_computed_has_no_say():
    lost = replace(
        diversity(0.3), score_b=math.nan, difference=math.nan, interval=NO_INTERVAL, reason="too few samples"
    )
    found = judge(lost, reach(0.3), replace(quality(0.0), difference=math.nan), LIMITS)
    assert found.level == "strong"
    assert found.reasoning[0] == "distinct and correct@8: not computed: too few samples."
    assert found.reasoning[-1].startswith("Quality was not measured")
    assert judge(lost, None, None, LIMITS).level == "not resolvable"
