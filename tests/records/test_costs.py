"""The account's rows: divided among sets drawn together, durable, and readable after a crash."""

import json
import threading

import pytest

from polychromic.core.errors import RecordError
from polychromic.core.nouns import Completion, Decoding, Prompt, SampleSet
from polychromic.records.costs import COSTS, TimingRow, append, drawn, read_costs, timed
from polychromic.records.samples import StoredSet


def stored(name, sizes):
    completions = tuple(Completion("x", tuple(range(size))) for size in sizes)
    samples = SampleSet(Prompt(name, "Say."), completions, Decoding(temperature=0.7), "sft")
    return StoredSet(samples, "", 0, tuple(range(2, 2 + len(sizes))))


def test_sets_drawn_together_share_their_time_by_tokens():
    first, second = drawn([stored("p", [1, 2]), stored("q", [4, 5])], (12.0, 6.0), "cuda")
    assert first == TimingRow("sample", 3.0, 1.5, "cuda", "sft", 0.7, "p", (2, 3), (1, 2))
    assert (second.seconds, second.processor_seconds, second.tokens) == (9.0, 4.5, (4, 5))


def test_without_token_ids_they_share_by_samples_and_tokens_are_unknown():
    rows = drawn([stored("p", [0]), stored("q", [0, 0, 0])], (8.0, 4.0), "server")
    assert [row.seconds for row in rows] == [2.0, 6.0]
    assert [row.tokens for row in rows] == [None, None]


def test_rows_come_back_and_a_cut_one_is_passed_over(tmp_path):
    rows = [TimingRow("load", 1.5, 0.5), *drawn([stored("p", [3])], (1.0, 1.0), "cpu")]
    append(tmp_path, rows)
    path = tmp_path / COSTS
    whole = path.read_bytes()
    path.write_bytes(whole + whole[:40])  # the machine went away in the middle of a row
    append(tmp_path, rows[:1])
    assert read_costs(tmp_path) == [*rows, rows[0]]
    path.write_text(json.dumps({"stage": "x", "seconds": 1, "processor_seconds": 0}) + '\n{"stage": "load"}\n')
    with pytest.raises(RecordError, match=r"costs\.jsonl:2: the row has no 'seconds'"):
        read_costs(tmp_path)
    assert read_costs(tmp_path / "none") == []


def test_stages_side_by_side_lose_no_row(tmp_path):
    def write(name):
        for _ in range(40):
            append(tmp_path, [TimingRow(name, 1.0, 1.0)])

    threads = [threading.Thread(target=write, args=(name,)) for name in "abc"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    stages = [row.stage for row in read_costs(tmp_path)]
    assert sorted(stages) == sorted("abc" * 40)


def test_work_that_failed_is_not_written(tmp_path):
    with timed(tmp_path, "measure"):
        pass
    with pytest.raises(ValueError, match="no"), timed(tmp_path, "measure"):
        raise ValueError("no")
    (row,) = read_costs(tmp_path)
    assert row.stage == "measure"
    assert 0 <= row.seconds < 1
