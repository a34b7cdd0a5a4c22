"""Verdicts from made-up rows: every level, what each needs, and the words it is said in."""

import math
from dataclasses import replace

import pytest

from polychromic.analysis.matrix import at_odds, clear, entries, prompts_needed, with_differences
from polychromic.analysis.next_step import Circumstances, following
from polychromic.analysis.nouns import NO_INTERVAL, Difference
from polychromic.analysis.verdict import disagreement, judge
from polychromic.core.facts import MetricFacts
from polychromic.settings.catalog import kind_class
from polychromic.settings.thresholds import DEFAULT_MATRIX, MatrixRow

LIMIT = 0.05


def facts_of(metric):
    return MetricFacts.of(kind_class("metrics", metric.partition("|")[0]), metric)


def row(metric, a, change, half, p_holm=0.001, smallest=0.05):
    difference, facts = change * a, facts_of(metric)
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
        family=8,
        minimum_detectable_effect=smallest * a,
        prompts=100,
        asked=100,
    )


def ruling(*rows, matrix=DEFAULT_MATRIX):
    """The verdict on rows between the same two models."""
    given = [each for each in rows if each]
    return judge(with_differences(entries(matrix, [facts_of(each.metric) for each in given]), given), LIMIT)


def found_in(verdict, title):
    return next(line.found for line in verdict.lines if line.title == title)


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
        ((diversity(0.02, p_holm=0.9), reach(0.42), quality(0.0)), "strong"),
        ((diversity(0.02, p_holm=0.9), reach(0.22), quality(0.0)), "moderate"),
        ((diversity(0.30), None, quality(-0.07)), "moderate"),
        ((diversity(0.15), None, quality(-0.07)), "moderate"),
        ((diversity(0.30), None, quality(-0.12)), "weak"),
        ((diversity(0.06), None, quality(0.0)), "weak"),
        ((diversity(0.02, half=0.05, p_holm=0.4), None, quality(0.0)), "no useful gain"),
        ((diversity(0.05, half=0.2, p_holm=0.4, smallest=0.25), None, quality(0.0)), "not resolvable"),
        ((diversity(0.30, p_holm=0.06), None, quality(0.0)), "not resolvable"),
        ((diversity(0.30, half=0.4), None, quality(0.0)), "not resolvable"),
        ((diversity(-0.2), reach(0.3), quality(0.0)), "worse"),
        ((None, None, quality(0.0, p_holm=0.9)), "no useful gain"),
        ((None, None, quality(0.12)), "moderate"),
        ((None, None, quality(-0.12)), "worse"),
        ((None, None, None), "not resolvable"),
    ],
)
def test_levels(rows, level):
    assert ruling(*rows).level == level


def test_no_gain_is_called_no_difference_and_not_a_weak_gain():
    found = ruling(diversity(-0.01, half=0.03, p_holm=0.9), quality(0.0))
    assert found.level == "no useful gain"
    assert found.sentence == (
        "No difference of useful size between new and sft in different right answers: distinct and correct@8 -1.0%, "
        "pass@1 +0.0%; 10% more is excluded."
    )


def test_what_cannot_be_resolved_says_what_would_be_missed_and_what_it_takes():
    found = ruling(diversity(0.05, half=0.2, p_holm=0.4, smallest=0.25), quality(0.0))
    assert found.sentence.startswith("These 100 prompts show no difference between new and sft in different right")
    assert found.sentence.endswith("; a gain below 25.0% can go unseen.")
    line = found.lines[0]
    assert (line.found, line.prompts_needed) == ("not resolvable", 625)  # (0.25 / 0.10)^2 times as many
    assert "a gain of 10% would take about 625 prompts" in line.said


def test_the_words_are_about_what_rose():
    texts = [
        row("distinct|n:2|k:8", 0.4, 0.009, 0.05, p_holm=0.9),
        row("self_bleu|n:4|k:8", 0.8, -0.049, 0.1, p_holm=0.3),
    ]
    found = ruling(diversity(0.3), quality(0.0), *texts)
    assert found.sentence == (
        "new has many more different right answers than sft, and is right as often: distinct and correct@8 +30.0%, "
        "pass@1 +0.0%. Its texts are not shown to be more diverse: Distinct-2 +0.9%, Self-BLEU-4 -4.9%."
    )
    assert found_in(found, "Distinct-2") == "not met"
    risen = row("distinct|n:2|k:8", 0.4, 0.3, 0.02)
    assert "Its texts are more diverse too: Distinct-2 +30.0%." in ruling(diversity(0.3), risen).sentence
    none = ruling(diversity(0.0, p_holm=1.0), risen, quality(0.0))
    assert none.level == "no useful gain"
    assert none.sentence.endswith("Its texts are more diverse: Distinct-2 +30.0%.")
    only = ruling(risen, quality(0.0, half=0.2))
    assert only.sentence == "new has much more diverse texts than sft: Distinct-2 +30.0%, pass@1 +0.0%."


def test_quality_alone_gets_a_sentence_about_quality():
    found = ruling(quality(0.12))
    assert found.sentence == "new is better in pass@1 than sft: pass@1 +12.0%."
    assert not any("Quality was not measured" in line for line in found.reasoning)
    assert ruling().sentence == "Nothing that a verdict could rest on was measured."


def test_without_intervals_nothing_is_claimed_and_nothing_reads_nan():
    rows = [replace(each, interval=NO_INTERVAL, p_holm=1.0) for each in (diversity(0.5), quality(0.1))]
    found = ruling(replace(rows[0], minimum_detectable_effect=math.nan), rows[1])
    assert found.level == "not resolvable"
    said = "(+50.0%, no interval); not clear of 0; the smallest effect these prompts would show is not known."
    assert said in found.reasoning[0]
    assert found.reasoning[1].endswith("how large a loss there may be is not known.")
    assert "nan" not in " ".join([*found.reasoning, found.sentence])


def test_less_is_better():
    bleu = row("self_bleu|n:4", 0.8, -0.3, 0.02)
    assert ruling(bleu).level == "strong"
    assert clear(bleu, LIMIT) == 1
    assert ruling(row("self_bleu|n:4", 0.8, 0.3, 0.02)).level == "worse"


def test_reasoning_says_numbers_and_bands():
    text = " ".join(ruling(diversity(0.30), reach(0.01, p_holm=0.8), quality(-0.02)).reasoning)
    assert "2.000 -> 2.600 (+30.0%, 95% interval +27.0% to +33.0%)" in text
    assert "moderate from 10%, strong from 25%" in text
    assert "a loss of up to 4.0% cannot be excluded" in text


def test_paid_with_quality_is_said():
    found = ruling(diversity(0.4), quality(-0.3))
    assert (found.level, found.paid) == ("weak", True)
    assert "pays for it with correctness" in found.sentence
    assert found_in(found, "pass@1") == "not met"


@pytest.mark.parametrize(("change", "half", "kept"), [(-0.02, 0.02, "met"), (-0.08, 0.05, "not resolvable")])
def test_a_tolerated_loss_is_kept_where_more_is_excluded(change, half, kept):
    assert found_in(ruling(diversity(0.3), quality(change, half=half)), "pass@1") == kept


def test_no_loss_in_the_interval_is_said_plainly():
    assert any("no loss lies" in line for line in ruling(diversity(0.3), quality(0.1)).reasoning)


def test_an_interval_and_holm_that_differ_are_explained():
    row_ = diversity(0.05, half=0.04, p_holm=0.2)
    assert at_odds(row_, LIMIT) == (
        "the interval alone is clear of 0, but after Holm over 8 comparisons p = 0.2: not taken for a difference"
    )
    assert at_odds(row_, LIMIT) in ruling(row_).reasoning[0]
    assert "but the interval reaches 0" in at_odds(diversity(0.02, half=0.03, p_holm=0.01), LIMIT)
    assert at_odds(diversity(0.3), LIMIT) == at_odds(diversity(0.0, p_holm=0.9), LIMIT) == ""


def test_a_verdict_on_few_of_the_prompts_is_none():
    found = ruling(replace(diversity(0.5), prompts=14, asked=180))
    assert found.level == "not resolvable"
    assert "only 14 of 180 prompts could be compared" in found.reasoning[0]


def test_metrics_that_disagree_are_named():
    fallen = row("semantic|k:16", 0.2, -0.1, 0.02)
    (said,) = disagreement([diversity(0.3), fallen, quality(-0.5)], LIMIT)
    assert "semantic diversity 0.200 -> 0.180" in said
    assert disagreement([diversity(0.3), row("semantic|k:16", 0.2, -0.1, 0.3)], LIMIT) == []


def test_missing_quality_is_said_and_nothing_is_deployed_on_it():
    found = ruling(diversity(0.3))
    assert any("Quality was not measured" in line for line in found.reasoning)
    assert found.sentence.endswith("Whether it is right was not judged.")
    assert following(found, Circumstances("new", "sft", 100)).startswith("judge the samples")
    assert [line.title for line in found.lines if line.found == "not measured"] == [
        *("pass@10", "Distinct-2", "Self-BLEU-4", "semantic diversity", "pass@1"),
    ]
    (line,) = ruling(matrix=(MatrixRow(metric="nobody:Has", moderate=0.1),)).lines
    assert (line.title, line.found) == ("nobody:Has", "not measured")


@pytest.mark.parametrize(
    ("rows", "where", "said"),
    [
        ((diversity(0.3), quality(0.0)), {"beaten": True}, "deploy the base where this counts"),
        ((diversity(0.3), quality(0.0)), {"bought": "yes"}, "sample sft at another temperature"),
        ((diversity(0.3), quality(0.0)), {"bought": "no", "seeds": 3}, "deploy new."),
        (
            (diversity(0.3), quality(0.0)),
            {},
            "deploy new, unless a sweep of the temperature of sft buys this too; a",
        ),
        ((diversity(0.3), quality(-0.3)), {}, "less weight on diversity"),
        ((diversity(0.05), quality(0.0)), {}, "more weight on diversity, or keep sft"),
        ((diversity(-0.3), quality(0.0)), {}, "keep sft."),
        ((diversity(0.0, p_holm=1.0), quality(0.0)), {}, "another k, another task"),
        ((diversity(0.05, half=0.2, p_holm=1.0, smallest=0.2), quality(0.0)), {}, "about 400 prompts (now 100)"),
        ((diversity(0.05, half=2, p_holm=1.0, smallest=0.9), quality(0.0)), {}, "another k or another task: a gain"),
        (
            (diversity(0.05, half=0.2, p_holm=1.0), quality(0.0)),
            {"room": "take harder prompts."},
            "take harder prompts.",
        ),
        ((diversity(0.05, half=0.2, p_holm=1.0), quality(0.0)), {"seeds": 2}, "more training seeds: there are 2."),
    ],
)
def test_what_to_do_next_is_one_line(rows, where, said):
    assert following(ruling(*rows), Circumstances("new", "sft", 100, **where)).startswith(said)


def test_the_matrix_is_a_setting():
    own = (
        MatrixRow(metric={"kind": "distinct", "n": 3}, k=8, moderate=0.2, strong=0.5),
        MatrixRow(metric="length", direction="less", moderate=0.1),
    )
    two, three = (row(f"distinct|n:{n}|k:8", 0.4, 0.3, 0.02) for n in (2, 3))
    found = ruling(two, three, row("length|unit:tokens", 40.0, -0.2, 0.01), matrix=own)
    assert [(line.title, line.direction, line.found) for line in found.lines] == [
        ("Distinct-3", 1, "met: moderate"),
        ("length in tokens", -1, "met: moderate"),
    ]
    assert found.metrics[0] == three.metric


def test_a_row_takes_the_nearest_k_and_one_sample_is_never_many():
    found = ruling(row("pass_at_k|k:8", 0.5, 0.5, 0.02), row("pass_at_k|k:2", 0.5, 0.0, 0.02), quality(0.0))
    assert [line.title for line in found.lines if line.metric] == ["pass@8", "pass@1"]
    assert [line.found for line in ruling(quality(0.0)).lines][1] == "not measured"


def test_prompts_needed_are_those_that_show_the_gain():
    assert prompts_needed(diversity(0.0, smallest=0.2), 0.1) == 400
    assert prompts_needed(replace(diversity(0.0), score_a=0.0), 0.1) is None
    assert prompts_needed(replace(diversity(0.0), seeds=(3, 3)), 0.1) is None


def test_baseline_of_zero_has_no_relative_gain():
    zero = replace(diversity(0.3), score_a=0.0, score_b=0.4, difference=0.4, interval=(0.3, 0.5))
    found = ruling(zero)
    assert found.level == "strong"
    assert "from 0 to 0.400" in found.sentence
    assert "0.000 -> 0.400" in found.reasoning[0]


def test_a_metric_that_was_not_computed_has_no_say():
    lost = replace(
        diversity(0.3), score_b=math.nan, difference=math.nan, interval=NO_INTERVAL, reason="too few samples"
    )
    found = ruling(lost, reach(0.5), replace(quality(0.0), difference=math.nan))
    assert found.level == "strong"
    assert found.reasoning[0] == "distinct and correct@8: not computed: too few samples."
    assert ruling(lost).level == "not resolvable"
