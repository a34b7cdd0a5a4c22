from __future__ import annotations

import json

import pytest

from polychromic.core.errors import RecordError
from polychromic.core.nouns import Message
from polychromic.records.conversations import conversations, read_examples, read_prompts

USER = {"role": "user", "content": "hi"}
ANSWER = {"role": "assistant", "content": "hello"}


def put(tmp_path, *rows):
    path = tmp_path / "data.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_every_form_becomes_prompt_and_demonstration(tmp_path):
    path = put(
        tmp_path,
        {"prompt": "hi", "completion": "hello"},
        {"prompt": [USER], "completion": [ANSWER]},
        {"prompt": [USER], "completion": "hello"},
        {"messages": [{"role": "system", "content": "s"}, USER, ANSWER]},
        {"prompt": "hi", "completion": "yo", "id": 7, "tests": ["x"]},
    )
    examples = read_examples(path)
    turn = Message("user", "hi")
    contents = [example.prompt.content for example in examples]
    assert contents == ["hi", (turn,), (turn,), (Message("system", "s"), turn), "hi"]
    assert [example.demonstration for example in examples] == ["hello", "hello", "hello", "hello", "yo"]
    assert examples[4].prompt.id == "7"
    assert examples[4].prompt.payload == {"tests": ["x"]}


def test_ids_depend_on_the_prompt_alone(tmp_path):
    a, b, c = read_examples(
        put(
            tmp_path,
            {"prompt": "hi", "completion": "x"},
            {"completion": "y", "prompt": "hi", "source": "z"},
            {"prompt": [USER], "completion": "x"},
        )
    )
    assert a.prompt.id == b.prompt.id != c.prompt.id
    assert a.prompt.id == "b49177e05868"


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ({"text": "x"}, "expected prompt and completion"),
        ({"prompt": "", "completion": "x"}, "the prompt is empty"),
        ({"prompt": " \n", "completion": "x"}, "the prompt is empty"),
        ({"prompt": [], "completion": "x"}, "the prompt is empty"),
        ({"prompt": "x", "completion": ""}, "the completion is empty"),
        ({"prompt": "x", "completion": 3}, "neither a string nor a list"),
        ({"prompt": 3, "completion": "x"}, "neither a string nor a list"),
        ({"prompt": [ANSWER], "completion": "x"}, "nothing to answer"),
        ({"prompt": "x", "completion": [USER]}, "one turn of the assistant"),
        ({"messages": [USER]}, "at least two turns"),
        ({"messages": "hi"}, "at least two turns"),
        ({"messages": [USER, USER]}, "must be the assistant's"),
        ({"messages": [USER, {"role": "assistant", "content": [{"type": "text"}]}]}, "role and a content"),
        ({"prompt": "x", "completion": "y", "id": True}, "id must be"),
        ({"prompt": "x", "completion": "y", "id": ""}, "id must be"),
        ({"prompt": "x"}, "nothing to learn"),
        ({"prompt": "x\ud800", "completion": "y"}, "half of a surrogate pair"),
        ({"messages": [USER, {"role": "assistant", "content": "\udfff"}]}, "half of a surrogate pair"),
    ],
)
def test_a_bad_row_is_named_and_may_be_skipped_and_counted(tmp_path, row, reason):
    path = put(tmp_path, {"prompt": "a", "completion": "b"}, row)
    with pytest.raises(RecordError, match=rf"data\.jsonl:2: .*{reason}"):
        read_examples(path)
    dropped = []
    assert len(read_examples(path, dropped.append)) == 1
    assert len(dropped) == 1


def test_a_file_of_nothing_but_bad_rows_is_refused_even_when_skipping(tmp_path):
    with pytest.raises(RecordError, match="holds no demonstration"):
        read_examples(put(tmp_path, {"prompt": ""}), [].append)
    with pytest.raises(RecordError, match="holds no demonstration"):
        read_examples(put(tmp_path))


def test_prompts_are_taken_once_each(tmp_path):
    path = put(tmp_path, {"prompt": "a"}, {"prompt": "a", "completion": "b"}, {"prompt": "c"})
    assert [prompt.content for prompt in read_prompts(path)] == ["a", "c"]


def test_an_id_for_two_prompts_is_refused(tmp_path):
    path = put(tmp_path, {"prompt": "a", "id": "1", "completion": "x"}, {"prompt": "b", "id": "1", "completion": "x"})
    with pytest.raises(RecordError, match=r":2: the id is that of .*:1, which"):
        list(conversations(path))
