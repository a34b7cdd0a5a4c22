"""Right and different samples as demonstrations that a training run reads."""

import json

import pytest
from click.testing import CliRunner

from polychromic.cli.export import command
from polychromic.core.errors import InputError, MissingResourceError
from polychromic.core.nouns import Completion, Decoding, Message, Prompt, SampleSet, Status, Verdict
from polychromic.records.conversations import read_examples
from polychromic.records.jsonl import write_rows
from polychromic.records.samples import sample_rows, store
from polychromic.records.verdicts import verdict_keys, verdict_row
from polychromic.stages import export

CHAT = Prompt("chat", (Message("user", "Name a colour."),), {"level": 2})
PLAIN = Prompt("plain", "2 + 2 =", {})
LOST = Prompt("lost", "Prove it.", {})
SAMPLES = {
    ("a", CHAT): [("red", "red"), ("Red!", "red"), ("blue", "blue"), ("sky", None), ("gre", "cut")],
    ("a", PLAIN): [("4", ""), ("5", None)],
    ("b", PLAIN): [("four", ""), ("4", "")],
    ("b", LOST): [("no", None)],
}


@pytest.fixture
def folder(tmp_path):
    rows, verdicts = [], []
    for (model, prompt), drawn in SAMPLES.items():
        completions = tuple(Completion(text, finished=answer != "cut") for text, answer in drawn)
        (stored,) = store([SampleSet(prompt, completions, Decoding(), model)], "", 0)
        rows += sample_rows(stored)
        for key, (_, answer) in zip(verdict_keys(stored), drawn, strict=True):
            status = Status.FAILED if answer is None else Status.PASSED
            verdicts.append(verdict_row(key, Verdict(status, "", answer or None)))
    write_rows(tmp_path / "samples.jsonl", rows)
    write_rows(tmp_path / "verdicts.jsonl", verdicts)
    return tmp_path


def learned(path):
    return [(each.prompt.id, each.prompt.content, each.demonstration) for each in read_examples(path)]


def test_each_different_right_answer_is_there_once_and_can_be_trained_on(folder, tmp_path):
    found = export.run(folder, tmp_path / "learn.jsonl")
    assert learned(found.path) == [
        ("chat", CHAT.content, "red"),
        ("chat", CHAT.content, "blue"),
        ("plain", PLAIN.content, "4"),
        ("plain", PLAIN.content, "four"),
    ]
    assert (found.rows, found.prompts, found.unanswered, found.passed) == (4, 2, 1, 6)
    assert read_examples(found.path)[0].prompt.payload == {"level": 2}


def test_one_model_and_few_answers_of_a_prompt(folder, tmp_path):
    found = export.run(folder, tmp_path / "learn.jsonl", ["a"], 1)
    assert [each[2] for each in learned(found.path)] == ["red", "4"]


def test_nothing_to_export_is_one_line(folder, tmp_path):
    with pytest.raises(InputError, match="has no model 'c'; there are a, b"):
        export.run(folder, tmp_path / "x.jsonl", ["c"])
    (folder / "verdicts.jsonl").unlink()
    with pytest.raises(InputError, match="no finished sample passed"):
        export.run(folder, tmp_path / "x.jsonl")
    with pytest.raises(MissingResourceError, match="there are no samples"):
        export.run(tmp_path / "none", tmp_path / "x.jsonl")
    assert not (tmp_path / "x.jsonl").exists()


def test_verb(folder, tmp_path):
    done = CliRunner().invoke(command, [str(folder), "--out", str(tmp_path / "y.jsonl"), "--json"])
    assert json.loads(done.output)["rows"] == 4
