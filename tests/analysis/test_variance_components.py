"""Where the uncertainty comes from, on data made to have it there."""

import numpy as np
import pytest

from polychromic.analysis.resampling import Plan
from polychromic.analysis.table import known_facts, read_table
from polychromic.analysis.variance_components import family, over_seeds, sample_split
from polychromic.core.nouns import Status, Verdict
from polychromic.records.measurements import MeasurementRow
from polychromic.records.rows import from_row


def verdicts(model, chances, samples, seed):
    generator = np.random.default_rng(seed)
    for i, chance in enumerate(chances):
        for j in range(samples):
            status = "passed" if generator.random() < chance else "failed"
            yield (model, f"p{i}", 1.0, j), Verdict(Status(status))


def test_pure_sampling_noise_asks_for_samples():
    rows = [*verdicts("sft", [0.5] * 200, 4, 0), *verdicts("new", [0.6] * 200, 4, 1)]
    (row,) = sample_split(dict(rows), "sft", ["new"], 1.0)
    assert row.within_share > 0.85
    assert "More samples" in row.advice


def test_differing_prompts_ask_for_prompts():
    half = [0.02] * 100 + [0.98] * 100
    rows = [*verdicts("sft", half, 16, 0), *verdicts("new", half[::-1], 16, 1)]
    (row,) = sample_split(dict(rows), "sft", ["new"], 1.0)
    assert row.within_share < 0.05
    assert "More prompts" in row.advice


def test_nothing_to_split():
    rows = [*verdicts("sft", [0.5] * 9, 1, 0), *verdicts("new", [0.5] * 9, 1, 1)]
    assert sample_split(dict(rows), "sft", ["new"], 1.0) == []
    assert sample_split(dict(rows), "sft", ["new"], 0.7) == []
    assert sample_split({}, "sft", ["new"], 1.0) == []


def test_absent_verdicts_are_no_fails():
    rows = [*verdicts("sft", [1.0] * 9, 3, 0), *verdicts("new", [1.0] * 9, 3, 1)]
    rows[-1] = (rows[-1][0], Verdict(Status.ABSENT))
    (row,) = sample_split(dict(rows), "sft", ["new"], 1.0)
    assert (row.between, row.within, row.samples) == (0.0, 0.0, 2)


def seeds(name, means, prompts=50):
    for number, mean in enumerate(means):
        for i in range(prompts):
            row = {
                "model": f"{name}@{number}",
                "temperature": 1.0,
                "prompt_id": f"p{i}",
                "signature": "distinct_correct|k:8",
                "numerator": mean + i % 7,
                "denominator": 1.0,
            }
            yield from_row(MeasurementRow, row)


def test_several_seeds_speak_about_the_method():
    rows = [*seeds("sft", [1.0, 1.2, 0.9]), *seeds("new", [1.5, 2.5, 2.0])]
    table = read_table(rows, known_facts("/nowhere/measurements.jsonl", rows))
    (row,) = over_seeds(table, "sft@0", 1.0, Plan(2000))
    assert (row.a, row.b, row.seeds) == ("sft", "new", (3, 3))
    assert row.difference == pytest.approx(2.0 - 3.1 / 3)
    low, high = row.interval
    assert 0.2 < low < row.difference < high < 1.7


def test_one_seed_cannot():
    rows = [*seeds("sft", [1.0]), *seeds("new", [2.0, 2.5])]
    table = read_table(rows, known_facts("/nowhere/measurements.jsonl", rows))
    assert over_seeds(table, "sft@0", 1.0, Plan(100)) == []


def test_families():
    assert family("moderate@2") == "moderate"
    assert family("sft") == "sft"
