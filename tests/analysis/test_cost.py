"""Costs by hand."""

import math

import pytest

from polychromic.analysis.cost import (
    Cost,
    Speed,
    Workload,
    account,
    forecast_training,
    multiplier,
    per_passing_answer,
    total,
)
from polychromic.core.errors import InputError


def test_dollars_are_device_hours_times_price():
    cost = Cost("train", 1_000_000, 1800.0, devices=4, price_per_hour=2.5)
    assert cost.device_seconds == 7200.0
    assert cost.dollars == 5.0
    assert cost.tokens_per_second == pytest.approx(138.89, abs=0.01)


def test_no_price_no_dollars():
    assert math.isnan(Cost("train", 1, 1.0).dollars)
    assert math.isnan(Cost("train", 1, 0.0).tokens_per_second)


def test_forecast_by_hand():
    work = Workload(300, 16, 500.0, 100, 8, 5, 200.0, 50.0)
    parts = forecast_training(work, Speed(trained=4000.0, drawn=1000.0), devices=2, price_per_hour=3.6)
    assert [part.tokens for part in parts] == [2_400_000, 800_000, 1_000_000]
    assert [part.device_seconds for part in parts] == [600.0, 800.0, 250.0]
    whole = total(parts)
    assert whole.device_seconds == 1650.0
    assert whole.dollars == pytest.approx(1.65)
    plain = forecast_training(Workload(300, 16, 500.0), Speed(4000.0, 1000.0), 2, 3.6)
    assert multiplier(whole, total(plain)) == pytest.approx(2.75)


def test_price_of_a_passing_answer():
    cost = Cost("sample", 6000, 60.0, price_per_hour=60.0)
    assert per_passing_answer(cost, 30) == {"device_seconds": 2.0, "tokens": 200.0, "dollars": pytest.approx(1 / 30)}
    assert math.isnan(per_passing_answer(cost, 0)["dollars"])


def test_account():
    rows = account({"sft": Cost("train", 10, 100.0), "new": Cost("train", 30, 250.0)}, "sft", {"new": 5})
    assert [row["multiplier"] for row in rows] == [1.0, 2.5]
    assert rows[1]["tokens_per_pass"] == 6.0
    assert math.isnan(rows[0]["tokens_per_pass"])


def test_impossible_costs():
    with pytest.raises(InputError, match="negative"):
        Cost("train", -1, 1.0)
    with pytest.raises(InputError, match="positive"):
        Speed(0.0, 1.0)
