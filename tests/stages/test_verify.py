from __future__ import annotations

from dataclasses import dataclass, field

import pytest

from polychromic.core.errors import InputError, MissingResourceError, RecordError
from polychromic.core.nouns import Completion, Decoding, Prompt, SampleSet, Status, Verdict
from polychromic.policy.chat import in_format
from polychromic.records.evaluation import EvaluationFolder
from polychromic.records.jsonl import write_rows
from polychromic.records.samples import sample_rows, store
from polychromic.records.verdicts import read_verdict_rows, verdict_row
from polychromic.stages import verify
from polychromic.tasks.answer import Answer


@dataclass
class Long:
    """A task that takes texts of more than one letter for right, and counts what it is asked."""

    name = "long"
    judges = True
    asked: list[str] = field(default_factory=list)

    def prompts(self, split):
        raise InputError("the rows come from elsewhere")

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
    assert [verdict.status for verdict in read_verdict_rows(path).values()] == [Status.FAILED, Status.PASSED]
    before = path.read_bytes()
    verify.run(tmp_path, task)
    assert path.read_bytes() == before
    put(tmp_path, "a", "bb", "ccc")
    verify.run(tmp_path, task)
    assert path.read_bytes().startswith(before)
    assert task.asked == ["a", "bb", "ccc"]


def test_a_verdict_on_another_text_is_made_anew(tmp_path):
    put(tmp_path, "a", "bb")
    verify.run(tmp_path, Long())
    put(tmp_path, "a", "b")
    with pytest.raises(RecordError, match=r"1 verdicts are not about the samples that are there now .* `polychromic"):
        EvaluationFolder(tmp_path).judged()
    task = Long()
    with pytest.warns(UserWarning, match=r"verdicts\.jsonl: 1 verdicts were made of other samples"):
        path = verify.run(tmp_path, task)
    assert task.asked == ["b"]
    assert not any(row.verdict.passed for row in read_verdict_rows(path).values())
    assert len(EvaluationFolder(tmp_path).judged()) == 2


def test_a_file_that_does_not_say_what_it_is_of_is_read_and_made_anew(tmp_path):
    put(tmp_path, "a")
    write_rows(tmp_path / "verdicts.jsonl", [verdict_row(("m", "p0", 1.0, 0), Verdict(Status.PASSED))])
    assert [verdict.passed for verdict in EvaluationFolder(tmp_path).judged().values()] == [True]
    with pytest.warns(UserWarning, match="or do not say of what"):
        verify.run(tmp_path, Long())
    assert [verdict.passed for verdict in EvaluationFolder(tmp_path).judged().values()] == [False]


@pytest.mark.parametrize("form", ["plain", "chat"])
def test_the_right_answers_are_todays(tmp_path, form):
    """A row's column travels with its sample; verdicts follow the file when the answer in it is put right."""
    rows, folder = tmp_path / "rows.jsonl", tmp_path / "out"
    rows.write_text('{"id": "p0", "prompt": "q", "answer": "5"}\n')
    task = Answer(path=str(rows))
    asked = in_format(task.prompts("test"), form)
    sets = [SampleSet(prompt, (Completion("6"),), Decoding(), "m") for prompt in asked]
    write_rows(folder / "samples.jsonl", (row for stored in store(sets, "", 0) for row in sample_rows(stored)))
    assert not any(row.verdict.passed for row in read_verdict_rows(verify.run(folder, task)).values())
    rows.write_text('{"id": "p0", "prompt": "q", "answer": "6"}\n')
    with pytest.warns(UserWarning, match="made anew"):
        verify.run(folder, task)
    assert all(verdict.passed for verdict in EvaluationFolder(folder).judged().values())


@pytest.mark.parametrize("tail", [b'{"model": "m", "prompt_id', b"\0" * 40, b"\0" * 40 + b"\n"])
def test_a_torn_log_is_read_and_mended(tmp_path, tail):
    put(tmp_path, "a", "bb")
    path = verify.run(tmp_path, Long())
    whole = path.read_bytes()
    for name in ("samples.jsonl", "verdicts.jsonl"):
        with (tmp_path / name).open("ab") as file:
            file.write(tail)
    with pytest.warns(UserWarning, match="the last row was cut off by a crash"):
        assert len(EvaluationFolder(tmp_path).judged()) == 2
    with pytest.warns(UserWarning, match=r"samples\.jsonl: the last row"):
        verify.run(tmp_path, Long())
    assert path.read_bytes() == whole


def test_an_interruption_keeps_what_was_judged(tmp_path, monkeypatch):
    monkeypatch.setattr(verify, "ROWS_PER_WRITE", 2)
    put(tmp_path, "a", "bb", "ccc", "stop", "e")
    with pytest.raises(KeyboardInterrupt):
        verify.run(tmp_path, Long())
    assert len(read_verdict_rows(tmp_path / "verdicts.jsonl")) == 2
    put(tmp_path, "a", "bb", "ccc", "dd", "e")
    again = Long()
    verify.run(tmp_path, again)
    assert again.asked == ["ccc", "dd", "e"]


def test_progress_reaches_its_total(tmp_path, monkeypatch):
    monkeypatch.setattr(verify, "ROWS_PER_WRITE", 2)
    put(tmp_path, "a", "bb", "ccc")
    told = []
    verify.run(tmp_path, Long(), lambda *facts: told.append(facts))
    assert told == [("verify", 0, 3), ("verify", 2, 3), ("verify", 3, 3)]


def test_a_folder_without_samples_is_said_to_have_none(tmp_path):
    with pytest.raises(MissingResourceError, match="draw some with `polychromic sample`"):
        verify.run(tmp_path, Long())
