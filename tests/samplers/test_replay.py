"""Completions drawn earlier, given back."""

import pytest

from polychromic.core.errors import InputError
from polychromic.core.nouns import Completion, Decoding, Prompt, SampleSet
from polychromic.records.jsonl import write_rows
from polychromic.records.samples import sample_rows, store
from polychromic.samplers.replay import Replay

DECODING = Decoding(temperature=0.8)


@pytest.fixture
def path(tmp_path):
    sets = [
        SampleSet(Prompt(name, name), (Completion("x"), Completion("y"), Completion("z")), DECODING, policy=model)
        for model in ("sft", "ours")
        for name in ("a", "b")
    ]
    write_rows(tmp_path / "samples.jsonl", (row for one in store(sets, "", 0) for row in sample_rows(one)))
    return str(tmp_path / "samples.jsonl")


def test_the_first_of_each_prompt(path):
    sets = Replay(path, "ours").sample([Prompt("b", "b"), Prompt("a", "a")], 2, DECODING, 1)
    assert [(one.prompt.id, one.texts, one.policy) for one in sets] == [
        ("b", ("x", "y"), "ours"),
        ("a", ("x", "y"), "ours"),
    ]


def test_what_is_not_there_is_refused(path):
    with pytest.raises(InputError, match="holds 3 completions of prompt 'a'"):
        Replay(path, "ours").sample([Prompt("a", "a")], 4, DECODING, 1)
    with pytest.raises(InputError, match="holds 0 completions"):
        Replay(path, "ours").sample([Prompt("a", "a")], 1, Decoding(), 1)
    with pytest.raises(InputError, match="holds ours, sft"):
        Replay(path).sample([Prompt("a", "a")], 1, DECODING, 1)
