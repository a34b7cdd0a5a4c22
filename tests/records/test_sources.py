"""Rows from every kind of place: the same rows, bad ones by their line, and columns under other names."""

from __future__ import annotations

import json

import pytest
from datasets import Dataset

from polychromic.core.errors import InputError, MissingResourceError, RecordError
from polychromic.core.nouns import Message
from polychromic.records.conversations import read_examples
from polychromic.records.sources import Source, scan

ROWS = [{"question": "1+1", "answer": "2", "code": "007"}, {"question": 'a, "b"\nc', "answer": "NA", "code": "1.0"}]
COLUMNS = {"prompt": "question", "completion": "answer"}


@pytest.fixture
def put(tmp_path):
    def write(name, content):
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return write


def as_file(tmp_path, form):
    path = tmp_path / f"rows.{form}"
    if form == "parquet":
        Dataset.from_list(ROWS).to_parquet(path)
    elif form == "jsonl":
        path.write_text("".join(json.dumps(row) + "\r\n" for row in ROWS), encoding="utf-8-sig", newline="")
    elif form == "json":
        path.write_text(json.dumps(ROWS, indent=1), encoding="utf-8-sig")
    else:
        path.write_text('question,answer,code\r\n1+1,2,007\r\n"a, ""b""\nc",NA,1.0\r\n', "utf-8-sig", newline="")
    return path


@pytest.mark.parametrize("form", ["jsonl", "json", "csv", "parquet"])
def test_every_file_gives_the_same_rows_and_all_columns_travel(tmp_path, form):
    first, second = read_examples(Source(as_file(tmp_path, form), columns=COLUMNS))
    assert (first.prompt.content, first.demonstration) == ("1+1", "2")
    assert (second.prompt.content, second.demonstration) == ('a, "b"\nc', "NA")
    assert [one.prompt.payload for one in (first, second)] == ROWS


def test_a_hub_data_set_by_subset_and_split_is_streamed_when_only_its_head_is_wanted(tmp_path):
    for subset in ("plain", "hard"):
        (tmp_path / "set" / subset).mkdir(parents=True)
        Dataset.from_list([{**row, "code": subset} for row in ROWS]).to_parquet(tmp_path / "set" / subset / "t.parquet")
    (tmp_path / "set" / "README.md").write_text(
        "---\nconfigs:\n- config_name: plain\n  data_files: [{split: test, path: plain/*}]\n"
        "- config_name: hard\n  data_files: [{split: test, path: hard/*}]\n---\n"
    )
    for head in (None, 2):
        source = Source(dataset=str(tmp_path / "set"), subset="hard", split="test", columns=COLUMNS, head=head)
        assert [one.prompt.payload["code"] for one in read_examples(source)] == ["hard", "hard"]
    for subset, split in (("none", "test"), ("hard", "train")):
        with pytest.raises(MissingResourceError, match="cannot be read") as caught:
            list(scan(Source(dataset=str(tmp_path / "set"), subset=subset, split=split)))
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("a.csv", "prompt,completion\n1,2\n\n3\n", r"a\.csv:4: 1 fields, and the header has 2"),
        ("a.csv", 'prompt,completion\n"1\n1",2\n3,"4"5\n', r"a\.csv:4: not CSV"),
        ("a.csv", b"prompt,completion\n1,2\n\xff,2\n", r"a\.csv:3: not UTF-8"),
        ("a.csv", "prompt,completion\n1,2\n3,\n", r"a\.csv:3: there is nothing to learn"),
        ("a.csv", "prompt,prompt\n", r"a\.csv:1: the header names a column twice"),
        ("a.json", '[{"prompt": "a", "completion": "b"}, 3]', r"a\.json:2: expected an object in the list"),
        ("a.json", '[{"prompt": "a"', r"a\.json: not JSON"),
        ("a.parquet", "no parquet", r"a\.parquet: cannot be read: \w+"),
        ("a.jsonl", '{"prompt": "a", "completion": ["b", "c"]}', r":1: the completion is a list of 2 texts"),
        ("a.jsonl", '{"instruction": 3, "output": "b"}', ":1: instruction and input must be strings"),
        ("a.jsonl", '{"conversations": [{"from": "human", "value": "a"}]}', ":1: conversations must be a list of at"),
    ],
)
def test_a_bad_row_is_one_line_with_its_place(put, name, content, reason):
    with pytest.raises(InputError, match=reason) as caught:
        read_examples(put(name, content))
    assert "\n" not in str(caught.value)


def test_a_column_that_a_row_lacks_is_named(put):
    path = put("a.jsonl", '{"question": "a", "answer": "b"}\n{"question": "c", "reply": "d"}\n')
    with pytest.raises(RecordError, match=r"a\.jsonl:2: there is no column 'answer'; the row has 'question', 'reply'"):
        read_examples(Source(path, columns=COLUMNS))
    skipped = []
    assert len(read_examples(Source(path, columns=COLUMNS), skipped.append)) == 1
    assert len(skipped) == 1


def test_alpaca_and_sharegpt_are_recognised(put):
    talk = [{"from": "system", "value": "s"}, {"from": "human", "value": "hi"}, {"from": "gpt", "value": "yo"}]
    rows = [
        {"instruction": "Add.", "input": "1 and 2", "output": "3", "level": 1},
        {"instruction": "Sing.", "input": "", "output": "la"},
        {"conversations": talk, "level": 2},
    ]
    found = read_examples(put("a.jsonl", "\n".join(json.dumps(row) for row in rows)))
    assert [one.prompt.content for one in found] == [
        "Add.\n\n1 and 2",
        "Sing.",
        (Message("system", "s"), Message("user", "hi")),
    ]
    assert [one.demonstration for one in found] == ["3", "la", "yo"]
    assert [one.prompt.payload for one in found] == [{"level": 1}, {}, {"level": 2}]


def test_times_become_text_and_what_is_no_text_is_refused(tmp_path):
    from datetime import datetime

    rows = [{"prompt": "a", "completion": "b", "at": datetime(2024, 1, 2)}]
    Dataset.from_list(rows).to_parquet(tmp_path / "a.parquet")
    assert read_examples(tmp_path / "a.parquet")[0].prompt.payload == {"at": "2024-01-02T00:00:00"}
    Dataset.from_list([{"prompt": "a", "completion": "b", "picture": b"x"}]).to_parquet(tmp_path / "b.parquet")
    with pytest.raises(RecordError, match=r"b\.parquet:1: a column holds a bytes"):
        read_examples(tmp_path / "b.parquet")
