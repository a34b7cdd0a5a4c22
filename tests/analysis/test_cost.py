"""Costs by hand."""

import math

import pytest

from polychromic.analysis.cost import Cost, Prices, SampleCounts, account, per_passing_answer, sampling_account
from polychromic.core.errors import InputError


def test_dollars_are_device_hours_times_price():
    cost = Cost("train", 1_000_000, 1800.0, devices=4, prices=Prices(2.5))
    assert cost.device_seconds == 7200.0
    assert cost.dollars == 5.0
    assert cost.tokens_per_second == pytest.approx(138.89, abs=0.01)


def test_no_price_no_dollars():
    assert math.isnan(Cost("train", 1, 1.0).dollars)
    assert math.isnan(Cost("train", 1, 0.0).tokens_per_second)


def test_price_of_a_passing_answer():
    cost = Cost("sample", 6000, 60.0, prices=Prices(60.0))
    assert per_passing_answer(cost, 30) == {"device_seconds": 2.0, "tokens": 200.0, "dollars": pytest.approx(1 / 30)}
    assert math.isnan(per_passing_answer(cost, 0)["dollars"])


def test_account():
    rows = account({"sft": Cost("train", 10, 100.0), "new": Cost("train", 30, 250.0)}, "sft")
    assert [row.multiplier for row in rows] == [1.0, 2.5]
    assert math.isnan(account({"new": Cost("train", 30, 250.0)}, "sft")[0].multiplier)


def test_account_of_sampling_says_why_there_is_no_price():
    costs = {name: Cost("sample", 30, 60.0) for name in ("sft", "new", "late")}
    counts = {
        "sft": SampleCounts(9, 9, 5, 9, 1.0),
        "new": SampleCounts(9, 9, 0, 9, 1.0),
        "late": SampleCounts(9, 0, 0, 4, 1.0),
    }
    sft, new, late = sampling_account(costs, counts, "sft")
    assert (sft.tokens_per_pass, sft.reason) == (6.0, "")
    assert math.isnan(new.tokens_per_pass)
    assert new.reason == "none of 9 judged samples passed"
    assert late.reason == "the time is known of 4 of 9 samples"


def test_impossible_costs():
    with pytest.raises(InputError, match="negative"):
        Cost("train", -1, 1.0)
