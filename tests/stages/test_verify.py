from __future__ import annotations

from dataclasses import dataclass, field

import pytest

from polychromic.core.errors import MissingResourceError
from polychromic.core.nouns import Completion, Decoding, Prompt, SampleSet, Status, Verdict
from polychromic.records.jsonl import write_rows
from polychromic.records.samples import sample_rows, store
from polychromic.records.verdicts import read_verdicts
from polychromic.stages import verify


@dataclass
class Long:
    """A task that takes texts of more than one letter for right, and counts what it is asked."""

    name = "long"
    judges = True
    asked: list[str] = field(default_factory=list)

    def verify(self, prompt, completion):
        self.asked.append(completion.text)
        if completion.text == "stop":
            raise KeyboardInterrupt
        return Verdict(Status.PASSED if len(completion.text) > 1 else Status.FAILED, answer=completion.text)


def put(folder, *texts):
    sets = [SampleSet(Prompt(f"p{i}", "q"), (Completion(text),), Decoding(), "m") for i, text in enumerate(texts)]
    write_rows(folder / "samples.jsonl", (row for stored in store(sets, "", 0) for row in sample_rows(stored)))


def test_only_missing_verdicts_are_made(tmp_path):
    put(tmp_path, "a", "bb")
    task = Long()
    path = verify.run(tmp_path, task)
    assert [verdict.status for verdict in read_verdicts(path).values()] == [Status.FAILED, Status.PASSED]
    before = path.read_bytes()
    verify.run(tmp_path, task)
    assert path.read_bytes() == before
    put(tmp_path, "a", "bb", "ccc")
    verify.run(tmp_path, task)
    assert path.read_bytes().startswith(before)
    assert task.asked == ["a", "bb", "ccc"]


def test_an_interruption_keeps_what_was_judged(tmp_path, monkeypatch):
    monkeypatch.setattr(verify, "ROWS_PER_WRITE", 2)
    put(tmp_path, "a", "bb", "ccc", "stop", "e")
    with pytest.raises(KeyboardInterrupt):
        verify.run(tmp_path, Long())
    assert len(read_verdicts(tmp_path / "verdicts.jsonl")) == 2
    put(tmp_path, "a", "bb", "ccc", "dd", "e")
    again = Long()
    verify.run(tmp_path, again)
    assert again.asked == ["ccc", "dd", "e"]


def test_progress_reaches_its_total(tmp_path, monkeypatch):
    monkeypatch.setattr(verify, "ROWS_PER_WRITE", 2)
    put(tmp_path, "a", "bb", "ccc")
    told = []
    verify.run(tmp_path, Long(), lambda *facts: told.append(facts))
    assert told == [("verify", 2, 3), ("verify", 3, 3)]


def test_a_folder_without_samples_is_said_to_have_none(tmp_path):
    with pytest.raises(MissingResourceError, match="draw some with `polychromic sample`"):
        verify.run(tmp_path, Long())
