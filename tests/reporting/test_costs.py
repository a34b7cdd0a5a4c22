"""The account of an evaluation: per sample that is there, by hand."""

import json
import math
from dataclasses import replace

import pytest

from polychromic.core.nouns import Completion, Decoding, Prompt, SampleSet, Status, Verdict
from polychromic.records.costs import TimingRow, append
from polychromic.records.jsonl import write_rows
from polychromic.records.samples import StoredSet, sample_rows
from polychromic.records.verdicts import verdict_row
from polychromic.reporting.costs import evaluation_cost
from polychromic.reporting.page import write_report


def sampled(model, prompt, indices, seconds, tokens=(5, 5)):
    return TimingRow("sample", seconds, seconds / 2, "cuda", model, 1.0, prompt, tuple(indices), tokens)


@pytest.fixture
def evaluation(tmp_path):
    """Two models x two prompts x two samples; sft passes one, ours passes three."""
    rows, verdicts = [], []
    for model, passing in (("sft", 1), ("ours", 3)):
        for place, prompt in enumerate("pq"):
            completions = (Completion("a", (1,) * 5), Completion("b", (1,) * 5))
            samples = SampleSet(Prompt(prompt, "Say."), completions, Decoding(), model)
            rows += sample_rows(StoredSet(samples, "", 0, (0, 1)))
            for index in (0, 1):
                status = Status.PASSED if 2 * place + index < passing else Status.FAILED
                verdicts.append(verdict_row((model, prompt, 1.0, index), Verdict(status)))
    write_rows(tmp_path / "samples.jsonl", rows)
    write_rows(tmp_path / "verdicts.jsonl", verdicts)
    append(tmp_path, [sampled("sft", "p", (0, 1), 1.0), sampled("sft", "q", (0, 1), 3.0)])
    (tmp_path / "evaluation.json").write_text(json.dumps({"price_per_hour": 3600.0}))
    return tmp_path


def test_seconds_tokens_dollars_multiplier_and_a_passing_answers_price(evaluation):
    append(evaluation, [sampled("ours", "p", (0, 1), 4.0), sampled("ours", "q", (0, 1), 4.0)])
    append(evaluation, [TimingRow("measure", 2.0, 1.0), TimingRow("measure", 3.0, 1.0)])
    found = evaluation_cost(evaluation, "sft")
    sft, ours = found.models
    assert (sft.tokens, sft.device_seconds, sft.wall_seconds, sft.dollars) == (20, 4.0, 4.0, 4.0)
    assert (ours.multiplier, ours.passed, ours.samples) == (2.0, 3, 4)
    assert (sft.device_seconds_per_pass, sft.tokens_per_pass) == (4.0, 20.0)
    assert ours.dollars_per_pass == pytest.approx(8 / 3)
    assert [(row.stage, row.seconds) for row in found.stages] == [("sample", 12.0), ("measure", 5.0)]


def test_on_a_processor_its_own_seconds_count_not_those_of_its_neighbours(evaluation):
    append(evaluation, [replace(sampled("ours", prompt, (0, 1), 4.0), device="cpu") for prompt in "pq"])
    ours = evaluation_cost(evaluation, "sft").models[1]
    assert (ours.device_seconds, ours.wall_seconds, ours.multiplier) == (4.0, 8.0, 1.0)


def test_a_sample_drawn_twice_counts_once(evaluation):
    """A crash between the account and the samples, or in the middle of a set's rows."""
    append(evaluation, [sampled("ours", "p", (0, 1), 9.0), sampled("ours", "p", (0, 1), 4.0)])
    append(evaluation, [sampled("ours", "q", (0, 1), 4.0, (5, 9)), sampled("ours", "q", (1,), 1.0, (5,))])
    ours = evaluation_cost(evaluation, "sft").models[1]
    assert ours.device_seconds == 4.0 + 2.0 + 1.0
    assert ours.tokens == 20


def test_samples_without_a_time_leave_no_number_but_a_reason(evaluation):
    append(evaluation, [sampled("ours", "p", (0, 1), 4.0)])
    ours = evaluation_cost(evaluation, "sft").models[1]
    assert ours.reason == "the time is known of 2 of 4 samples"
    for name in ("tokens", "device_seconds", "dollars", "multiplier", "device_seconds_per_pass", "tokens_per_pass"):
        assert math.isnan(getattr(ours, name)), name


def test_nothing_passed_nothing_judged_and_no_tokens(evaluation):
    rows = [json.loads(line) for line in (evaluation / "verdicts.jsonl").read_text().splitlines()]
    append(evaluation, [sampled("ours", prompt, (0, 1), 4.0, None) for prompt in "pq"])
    kept = [row | {"status": "failed"} for row in rows if row["model"] == "sft"]
    write_rows(evaluation / "verdicts.jsonl", kept)
    sft, ours = evaluation_cost(evaluation, "sft").models
    assert sft.reason == "none of 4 judged samples passed"
    assert math.isnan(sft.device_seconds_per_pass)
    assert sft.device_seconds == 4.0
    assert ours.reason == "no sample was judged"
    assert math.isnan(ours.tokens)
    assert ours.multiplier == 2.0


def test_a_passing_answer_of_an_api_is_paid_with_its_prompt(evaluation):
    """10 tokens drawn and 1,000 read for each set; 1 dollar a token drawn, 0.01 a token read."""
    record = {"price_per_hour": 1.0, "price_per_million_tokens": 1e6, "price_per_million_prompt_tokens": 1e4}
    (evaluation / "evaluation.json").write_text(json.dumps(record))
    served = [replace(sampled("ours", prompt, (0, 1), 4.0), device="server", tokens_read=1000) for prompt in "pq"]
    append(evaluation, served)
    sft, ours = evaluation_cost(evaluation, "sft").models
    assert (ours.dollars, ours.dollars_per_pass) == (20.0 + 20.0, pytest.approx(40 / 3))
    assert sft.dollars == pytest.approx(4.0 / 3600)  # of a machine
    append(evaluation, [replace(served[0], tokens_read=None)])
    assert math.isnan(evaluation_cost(evaluation, "sft").models[1].dollars)


def test_the_report_shows_it_and_a_folder_without_rows_has_none(folder, evaluation, tmp_path):
    assert evaluation_cost(tmp_path / "nowhere", "sft") is None
    append(evaluation, [sampled("ours", prompt, (0, 1), 4.0) for prompt in "pq"])
    (evaluation / "comparison.json").write_bytes((folder / "comparison.json").read_bytes())
    page = write_report(evaluation)
    assert "Cost of sampling" in page.read_text()
    assert "times sft" in (evaluation / "report.md").read_text()
    assert json.loads((evaluation / "cost.json").read_text())["models"][1]["passed"] == 3
