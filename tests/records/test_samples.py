from __future__ import annotations

import math
from dataclasses import replace

import pytest

from polychromic.core.errors import RecordError
from polychromic.core.nouns import Completion, Decoding, Measurement, Message, Prompt, SampleSet, Status, Verdict
from polychromic.records.jsonl import AppendLog, read_rows, write_rows
from polychromic.records.measurements import StoredMeasurement, measurement_row, read_measurements
from polychromic.records.rows import to_row
from polychromic.records.samples import group_sets, read_sets, sample_rows, store
from polychromic.records.verdicts import read_verdict_rows, verdict_keys, verdict_row, verdicts_of

CHAT = Prompt("p2", (Message("system", "be brief"), Message("user", "naïve?")))
PLAIN = Prompt("p1", "2 3 5 = 10", {"target": 10})


def drawn(prompt, texts, temperature=1.0, policy="sft"):
    completions = tuple(Completion(text, (1, 2), finished=index > 0, logprob=-1.5) for index, text in enumerate(texts))
    return SampleSet(prompt, completions, Decoding(temperature=temperature), policy)


def write(path, stored):
    with AppendLog(path) as log:
        for item in stored:
            log.append(sample_rows(item))


def test_sets_come_back_whole_from_rows(tmp_path):
    path = tmp_path / "samples.jsonl"
    sets = [drawn(PLAIN, "ab"), drawn(CHAT, "cd"), drawn(PLAIN, "ef", temperature=0.7)]
    write(path, store(sets, "adapter", 3))
    found = read_sets(path)
    assert [item.samples for item in found] == sets
    assert found[0].samples.prompt.payload == {"target": 10}
    assert {(item.adapter, item.seed, item.indices) for item in found} == {("adapter", 3, (0, 1))}
    assert list(group_sets(found)) == [("sft", 1.0), ("sft", 0.7)]


def test_more_samples_extend_a_set_and_repeated_rows_count_once(tmp_path):
    path = tmp_path / "samples.jsonl"
    write(path, store([drawn(PLAIN, "ab")], "x", 0))
    write(path, store([drawn(PLAIN, "cd")], "x", 0, start=2))
    write(path, store([drawn(PLAIN, "ab")], "x", 0))
    (only,) = read_sets(path)
    assert only.samples.texts == ("a", "b", "c", "d")
    assert only.indices == (0, 1, 2, 3)


def test_rows_in_any_order_give_completions_by_index(tmp_path):
    path = tmp_path / "samples.jsonl"
    (stored,) = store([drawn(PLAIN, "abc")], "x", 0)
    write_rows(path, reversed(sample_rows(stored)))
    assert read_sets(path)[0].samples.texts == ("a", "b", "c")


def test_sets_of_other_models_decodings_and_prompts_are_not_mixed(tmp_path):
    path = tmp_path / "samples.jsonl"
    (stored,) = store([drawn(PLAIN, "a")], "x", 0)
    row = to_row(sample_rows(stored)[0])
    hotter = {"decoding": row["decoding"] | {"temperature": 0.9}}
    changes = ({}, {"model": "base"}, {"prompt_id": "p9"}, {"prompt_id": "p8", "prompt": "other"}, hotter)
    write_rows(path, [row | change for change in changes])
    assert [len(each.indices) for each in read_sets(path)] == [1] * 5


def test_of_a_reworded_prompt_only_the_last_wording_counts(tmp_path):
    path = tmp_path / "samples.jsonl"
    first, again = (drawn(replace(PLAIN, content=text), "a") for text in ("old", "new"))
    write(path, store([first, drawn(CHAT, "a"), again], "x", 0))
    assert [item.samples.prompt.content for item in read_sets(path)] == [CHAT.content, "new"]


def test_a_model_name_for_two_adapters_is_refused(tmp_path):
    path = tmp_path / "samples.jsonl"
    write(path, store([drawn(PLAIN, "a")], "x", 0) + store([drawn(CHAT, "a")], "y", 0))
    with pytest.raises(RecordError, match=r"samples\.jsonl:2: model 'sft' stands for two different adapters"):
        read_sets(path)


def test_one_sample_with_two_seeds_is_refused(tmp_path):
    path = tmp_path / "samples.jsonl"
    write(path, store([drawn(PLAIN, "a")], "x", 0) + store([drawn(PLAIN, "b")], "x", 1))
    with pytest.raises(RecordError, match="two different seeds"):
        read_sets(path)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"text": None}, None),
        ({"decoding": {"temperature": "warm"}}, "decoding: temperature: expected a number, got a string"),
        ({"prompt": [{"role": "user"}]}, "a message needs a role and a content"),
        ({"prompt": 3}, "neither a string nor a list"),
    ],
)
def test_a_row_of_another_shape_is_named_by_its_line(tmp_path, change, reason):
    path = tmp_path / "samples.jsonl"
    row = to_row(sample_rows(store([drawn(PLAIN, "a")], "x", 0)[0])[0]) | change
    if reason is None:
        del row["text"]
        reason = "the row has no 'text'"
    write_rows(path, [row])
    with pytest.raises(RecordError, match=rf"samples\.jsonl:1: .*{reason}"):
        read_sets(path)


def test_verdicts_join_their_samples_and_what_is_not_judged_is_absent(tmp_path):
    path = tmp_path / "verdicts.jsonl"
    (stored,) = store([drawn(PLAIN, "ab")], "x", 0)
    first, second = verdict_keys(stored)
    write_rows(path, [verdict_row(first, Verdict(Status.PASSED, answer="2+3+5"))])
    known = {key: row.verdict for key, row in read_verdict_rows(path).items()}
    assert second not in known
    passed, absent = verdicts_of(stored, known)
    assert passed == Verdict(Status.PASSED, "", "2+3+5")
    assert absent.status is Status.ABSENT
    assert read_verdict_rows(tmp_path / "none.jsonl") == {}
    write_rows(path, [to_row(verdict_row(first, passed)) | {"status": "great"}])
    with pytest.raises(RecordError, match=r"verdicts\.jsonl:1: status: expected one of passed"):
        read_verdict_rows(path)


def test_measurements_keep_nan_with_its_reason_and_refuse_nan_without(tmp_path):
    path = tmp_path / "measurements.jsonl"
    good = StoredMeasurement("sft", 0.7, Measurement("p1", "distinct|n:2", 3.0, 4.0, detail={"unique": 3}))
    lost = StoredMeasurement("sft", 0.7, Measurement("p2", "pass@k|k:8", math.nan, math.nan, "4 samples, k is 8"))
    write_rows(path, [measurement_row(good), measurement_row(lost)])
    first, second = read_measurements(path)
    assert first == good
    assert first.measurement.detail == {"unique": 3}
    assert math.isnan(second.measurement.value)
    assert second.measurement.reason == "4 samples, k is 8"
    assert next(read_rows(path))[1]["denominator"] == 4.0
    write_rows(path, [to_row(measurement_row(lost)) | {"reason": ""}])
    with pytest.raises(RecordError, match="no reason is given"):
        read_measurements(path)
