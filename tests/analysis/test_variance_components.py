"""Where the uncertainty comes from, on data made to have it there."""

import numpy as np

from polychromic.analysis.variance_components import sample_split
from polychromic.core.nouns import Status, Verdict


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
