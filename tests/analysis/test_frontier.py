"""Frontiers by hand, and the temperature sentence on models where the answer is known."""

import numpy as np
import pytest

from polychromic.analysis import comparison
from polychromic.analysis.frontier import at_quality, hypervolume, matched, sweeps, temperature_buys
from polychromic.analysis.record import CompareSettings
from polychromic.analysis.resampling import Plan
from polychromic.analysis.table import known_facts, read_table
from polychromic.records.measurements import MeasurementRow
from polychromic.records.rows import from_row, to_row

PLAN = Plan(resamples=300)


def compare(rows, *more):
    """What the stage writes for a file of these rows that says nothing about its metrics."""
    rows = [from_row(MeasurementRow, row) for row in rows]
    return to_row(comparison.compare(rows, known_facts("/nowhere/measurements.jsonl", rows), *more))


def test_hypervolume_by_hand():
    quality, diversity = np.array([0.2, 0.5, 0.8]), np.array([3.0, 2.0, 1.0])
    assert hypervolume(quality, diversity, (0.0, 0.0)) == pytest.approx(0.2 * 3 + 0.3 * 2 + 0.3 * 1)
    assert hypervolume(quality, diversity, (0.5, 0.0)) == pytest.approx(0.3)
    dominated = hypervolume(np.append(quality, 0.3), np.append(diversity, 1.5), (0.0, 0.0))
    assert dominated == pytest.approx(1.5)


def test_hypervolume_does_not_depend_on_order_and_agrees_with_counting():
    generator = np.random.default_rng(0)
    quality, diversity = generator.random(6), generator.random(6)
    area = hypervolume(quality, diversity, (0.0, 0.0))
    assert hypervolume(quality[::-1], diversity[::-1], (0.0, 0.0)) == pytest.approx(area)
    points = generator.random((100_000, 2))
    below = ((points[:, :1] <= quality) & (points[:, 1:] <= diversity)).any(axis=1).mean()
    assert area == pytest.approx(below, abs=0.006)


def test_interpolation_between_temperatures():
    found = at_quality(np.array([0.1, 0.5, 0.9]), np.array([0.6, 0.4]), np.array([1.0, 2.0]))
    assert found == pytest.approx([2.0, 1.5, 1.0])


def test_a_dominated_temperature_is_not_used():
    quality, diversity = np.array([0.16, 0.25, 0.28]), np.array([1.4, 1.7, 1.3])
    found = at_quality(np.array([0.1, 0.2, 0.265, 0.28, 0.3]), quality, diversity)
    assert found == pytest.approx([1.7, 1.7, 1.5, 1.3, 1.3])


def rows_of(model, points, prompts=120, noise=0.02):
    """Measurements whose quality and diversity at each temperature are as told, with a little noise by prompt."""
    generator = np.random.default_rng(7)
    for temperature, (quality, diversity) in points.items():
        for i in range(prompts):
            shared = generator.normal(0, noise)
            common = {"model": model, "temperature": temperature, "prompt_id": f"p{i}", "denominator": 1.0}
            yield common | {"signature": "pass_at_k|k:1", "numerator": quality + shared}
            yield common | {"signature": "distinct_correct|k:8", "numerator": diversity + generator.normal(0, noise)}


COLD, WARM, HOT = 0.5, 1.0, 1.5
BASELINE = {COLD: (0.7, 1.0), WARM: (0.6, 2.0), HOT: (0.4, 4.0)}


def curves(variant):
    rows = [from_row(MeasurementRow, row) for row in (*rows_of("sft", BASELINE), *rows_of("new", variant))]
    facts = known_facts("/nowhere/measurements.jsonl", rows)
    return sweeps(read_table(rows, facts), facts["pass_at_k|k:1"], facts["distinct_correct|k:8"], PLAN)


def test_a_gain_that_temperature_buys():
    """The variant is the baseline, hotter: at temperature 1 it sits where the baseline sits at 1.25."""
    sft, new = curves({COLD: (0.65, 1.5), WARM: (0.5, 3.0), HOT: (0.3, 5.0)})
    found = temperature_buys(sft, new, WARM, PLAN)
    assert found.answer in ("yes", "perhaps")
    assert found.difference == pytest.approx(0.0, abs=0.02)
    assert "buys this too" in found.sentence
    assert matched(sft, new, PLAN).difference == pytest.approx(0.0, abs=0.1)


def test_a_gain_that_temperature_does_not_buy():
    sft, new = curves({COLD: (0.7, 2.0), WARM: (0.6, 3.0), HOT: (0.4, 5.0)})
    found = temperature_buys(sft, new, WARM, PLAN)
    assert found.answer == "no"
    assert found.difference == pytest.approx(1.0, abs=0.02)
    assert found.interval[0] < 1.0 < found.interval[1]
    assert matched(sft, new, PLAN).difference == pytest.approx(1.0, abs=0.02)


@pytest.mark.parametrize(
    ("variant", "says"),
    [
        ({WARM: (0.2, 6.0)}, "not swept hot enough"),
        ({WARM: (0.6, 1.5)}, "is not more diverse"),
        ({WARM: (0.75, 3.0)}, "reaches this quality at no temperature"),
    ],
)
def test_what_cannot_be_bought_or_said(variant, says):
    sft, new = curves(variant)
    assert says in temperature_buys(sft, new, WARM, PLAN).sentence


def test_one_temperature_says_that_it_cannot_say():
    rows = [*rows_of("sft", {WARM: (0.6, 2.0)}), *rows_of("new", {WARM: (0.6, 3.0)})]
    found = compare(rows, CompareSettings("sft", plan=PLAN))
    assert "was not swept" in found["frontier"]["swept"][0]["sentence"]
    assert any("was not swept" in line for line in found["verdicts"][0]["reasoning"])
    assert found["frontier"]["matched"][0]["difference"] is None
    assert "share no quality" in found["frontier"]["matched"][0]["reason"]


def test_less_is_better_metrics_are_turned_round():
    def rows(model, value):
        for temperature in (0.7, 1.0):
            for i in range(30):
                common = {"model": model, "temperature": temperature, "prompt_id": f"p{i}", "denominator": 1.0}
                yield common | {"signature": "pass_at_k|k:1", "numerator": 0.5 - 0.3 * temperature + 0.01 * (i % 3)}
                yield common | {"signature": "self_bleu|n:4", "numerator": value - 0.2 * temperature + 0.01 * (i % 5)}

    found = compare([*rows("sft", 0.9), *rows("new", 0.6)], CompareSettings("sft", plan=Plan(resamples=999)))
    models = found["frontier"]["models"]
    assert models["new"]["hypervolume"] > models["sft"]["hypervolume"]
    assert models["new"]["points"][0]["diversity"] == pytest.approx(0.48)
    low, high = models["new"]["points"][0]["diversity_interval"]
    assert low < 0.48 < high
    assert found["verdicts"][0]["level"] == "strong"
