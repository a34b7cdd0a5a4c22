"""pass@k, taxonomy and the regression view against hand-computed tables."""

from __future__ import annotations

import json
import math

import pytest

from polychromic.code.nouns import Amounts, RunCost, Summary
from polychromic.code.results import by_category, cost_per_pass, failing, pass_rates, regression, summary, taxonomy
from polychromic.core.nouns import Status, Verdict
from polychromic.records.costs import TimingRow
from polychromic.records.jsonl import encode
from polychromic.records.rows import from_row

PASS = Verdict(Status.PASSED, "passed [fence]", "a/b")
WRONG = Verdict(Status.FAILED, "wrong_answer [body] f(1) -> 2")
CRASH = Verdict(Status.CRASHED, "exception [fence] ZeroDivisionError: division by zero")
BROKEN = Verdict(Status.FAILED, "syntax_error [unparsed] line 1")
ABSENT = Verdict(Status.ABSENT, "harness_error [fence] gone")


def test_pass_at_k_is_the_unbiased_mean_over_problems():
    verdicts = {"a": [PASS, WRONG, WRONG, WRONG], "b": [PASS, PASS, WRONG, CRASH], "c": [WRONG] * 4}
    one, two, five = pass_rates(verdicts, (1, 2, 5))
    assert one.score == pytest.approx((1 / 4 + 2 / 4 + 0) / 3)
    assert (one.passed, one.total) == (3, 12)
    assert two.score == pytest.approx((1 / 2 + 5 / 6 + 0) / 3)
    assert (two.passed, two.total) == (2, 3)
    assert one.low <= one.score <= one.high
    assert math.isnan(five.score)
    assert five.reason == "no problem has 5 judged samples"


def test_no_pass_at_all_leaves_room_for_some():
    (rate,) = pass_rates({str(i): [WRONG] for i in range(4)}, (1,))
    assert (rate.score, rate.low) == (0.0, 0.0)
    assert rate.high == pytest.approx(1 - 0.025**0.25)


def test_absent_verdicts_are_no_samples_and_short_problems_are_named():
    one, two = pass_rates({"a": [PASS, ABSENT], "b": [WRONG, WRONG]}, (1, 2))
    assert (one.score, one.total) == (0.5, 3)
    assert two.score == 0.0
    assert two.reason == "1 problems have fewer than 2 judged samples"


def test_the_taxonomy_counts_outcomes_groups_and_rules():
    counted = taxonomy([PASS, PASS, WRONG, CRASH, BROKEN, ABSENT, Verdict(Status.FAILED, "it comes to 3")])
    assert counted.outcomes["passed"] == 2
    assert counted.groups == {
        "passed": 2,
        "wrong_answer": 1,
        "execution": 1,
        "compile": 1,
        "harness": 1,
        "not judged": 1,
    }
    assert counted.rules == {"fence": 4, "body": 1, "unparsed": 1}


def test_the_regression_view_names_the_changes_and_why():
    a = {"1": [PASS], "2": [PASS], "3": [WRONG], "4": [BROKEN], "5": [PASS], "only a": [PASS]}
    b = {"1": [PASS], "2": [CRASH], "3": [PASS], "4": [PASS], "5": [WRONG], "only b": [PASS]}
    found = regression(a, b)
    assert (found.tasks, found.solved_a, found.solved_b, found.gained, found.lost) == (5, 3, 3, 2, 2)
    assert [(c.task, c.gained, c.group) for c in found.changes] == [
        ("2", False, "execution"),
        ("3", True, "wrong_answer"),
        ("4", True, "compile"),
        ("5", False, "wrong_answer"),
    ]
    assert found.changes[0].detail == "ZeroDivisionError: division by zero"
    assert found.p == 1.0


def test_changes_stand_in_reading_order_whatever_order_they_were_judged_in():
    names = [f"HumanEval/{n}" for n in (10, 9, 100, 0)]
    found = regression({name: [PASS] for name in names}, {name: [WRONG] for name in reversed(names)})
    assert [change.task for change in found.changes] == [f"HumanEval/{n}" for n in (0, 9, 10, 100)]


def test_the_p_value_is_mcnemars_exact_one():
    a = {str(i): [PASS if i < 2 else WRONG] for i in range(12)}
    b = {str(i): [WRONG if i < 1 else PASS] for i in range(12)}
    found = regression(a, b)
    assert (found.gained, found.lost) == (10, 1)
    assert found.p == pytest.approx(2 * (1 + 11) / 2**11)


def test_the_summary_is_read_as_it_was_written():
    result = summary({"a": [PASS, WRONG]}, (1, 2, 5))
    assert result.pass_at_k["1"].score == 0.5
    assert (result.tasks, result.samples, result.passed, result.absent) == (1, 2, 1, 0)
    back = from_row(Summary, json.loads(encode(result)))
    assert math.isnan(back.pass_at_k["5"].score)
    assert (back.failing, back.rules, back.pass_at_k["1"].total) == (result.failing, result.rules, 2)


def test_failing_problems_are_named_with_their_most_frequent_reason():
    found = failing({"p/10": [PASS, PASS], "p/9": [WRONG, CRASH, CRASH, PASS], "p/2": [WRONG, ABSENT], "p/1": [ABSENT]})
    assert [(row.task, row.passed, row.judged, row.absent) for row in found] == [
        ("p/1", 0, 0, 1),
        ("p/2", 0, 1, 1),
        ("p/9", 1, 4, 0),
    ]
    assert (found[2].outcome, found[2].detail) == ("exception", "ZeroDivisionError: division by zero")
    assert (found[1].outcome, found[1].detail) == ("wrong_answer", "f(1) -> 2")
    assert found[0].outcome == "not judged"


def test_pass_at_1_by_category_leaves_problems_without_one_out():
    found = by_category({"a": [PASS], "b": [WRONG], "c": [PASS]}, {"a": "x", "b": "x", "c": ""})
    assert {name: (rate.score, rate.passed, rate.total) for name, rate in found.items()} == {"x": (0.5, 1, 2)}


def test_the_cost_of_a_passing_sample():
    rows = [
        TimingRow("sample", 6.0, 1.0, tokens=(10, 20)),
        TimingRow("sample", 4.0, 1.0, tokens=(30,)),
        TimingRow("verify", 2.0, 0.5),
    ]
    found = cost_per_pass(rows, 3, price_per_hour=3600.0)
    assert found == RunCost(12.0, 60, 12.0, per_pass=Amounts(4.0, 20.0, 4.0))
    unknown = cost_per_pass([*rows, TimingRow("sample", 1.0, 1.0)], 0)
    assert (unknown.tokens, unknown.dollars, unknown.per_pass) == (None, None, Amounts())
