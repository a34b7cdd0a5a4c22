"""The audit over tasks and folders."""

import json

import pytest
from click.testing import CliRunner

from polychromic.cli import evaluate
from polychromic.cli.audit import command as audit_command
from polychromic.core.errors import InputError
from polychromic.core.nouns import Completion, Decoding, Prompt, SampleSet, Status, Verdict
from polychromic.records.jsonl import write_rows
from polychromic.records.samples import sample_rows, store
from polychromic.records.verdicts import verdict_keys, verdict_row
from polychromic.settings.catalog import build
from polychromic.settings.schema import EvaluationSection
from polychromic.stages import audit, pipeline
from polychromic.stages.models import parse_models


class Lenient:
    """Accepts whatever is not empty; knows no right answer."""

    name = "lenient"
    judges = True

    def prompts(self, split):
        return [Prompt(f"p{i}", f"Say {i}.") for i in range(20)]

    def examples(self, split):
        return []

    def verify(self, prompt, completion):
        return Verdict(Status.PASSED if completion.text else Status.FAILED)


def folder_of(path, texts):
    prompts = [Prompt(f"p{i}", f"Say {i}.") for i in range(len(texts))]
    sets = [
        SampleSet(prompt, tuple(map(Completion, found)), Decoding(), "sft")
        for prompt, found in zip(prompts, texts, strict=True)
    ]
    stored = store(sets, "", 0)
    write_rows(path / "samples.jsonl", (row for each in stored for row in sample_rows(each)))
    keys = [key for each in stored for key in verdict_keys(each)]
    write_rows(path / "verdicts.jsonl", (verdict_row(key, Verdict(Status.PASSED)) for key in keys))
    return path


def test_the_countdown_checker_accepts_no_control_but_lucky_shuffles():
    found = audit.run(build("tasks", "countdown"))
    assert found.warnings == ()
    shares = {rate.kind: rate.share for rate in found.rates}
    assert shares.pop("right answer") == 1.0
    assert shares.pop("shuffled words") < 0.1
    assert set(shares.values()) == {0.0}


def test_a_task_without_demonstrations_is_tried_with_empty_and_echo():
    found = audit.run(Lenient())
    assert [rate.kind for rate in found.rates] == ["empty", "prompt echo"]
    assert len(found.warnings) == 1
    assert "no right answer" in found.notes[0]


def test_passed_samples_stand_in_for_right_answers(tmp_path):
    folder_of(tmp_path, [["one two three", "one two three"], ["four five six", "six"]])
    found = audit.run(Lenient(), tmp_path)
    assert {rate.kind for rate in found.rates} > {"shuffled words", "another prompt's answer"}
    assert found.identical == {"sft at temperature 1": 0.5}
    written = json.loads((tmp_path / "audit.json").read_text())
    assert written["warnings"] == list(found.warnings)


def test_identical_candidates_are_warned_about(tmp_path):
    folder_of(tmp_path, [["x", "x"], ["y", "y"], ["z", "w"]])
    assert any("67% of the prompts have identical" in line for line in audit.run(None, tmp_path).warnings)


def test_headroom_of_the_baseline_only(tmp_path):
    rows = [
        {"model": model, "temperature": 1.0, "prompt_id": f"p{i}", "signature": "pass_at_k|k:8", "numerator": 1.0}
        for model in ("sft", "other")
        for i in range(5)
    ]
    write_rows(tmp_path / "measurements.jsonl", rows)
    found = audit.run(None, tmp_path, audit.Auditing(baseline="sft"))
    assert len(found.warnings) == 1
    assert "pass@8 = 1.000, above 0.95" in found.warnings[0]
    with pytest.raises(InputError, match="'nobody' was not measured"):
        audit.run(None, tmp_path, audit.Auditing(baseline="nobody"))


def test_nothing_to_audit():
    with pytest.raises(InputError, match="a task, a folder"):
        audit.run(None)


@pytest.fixture
def evaluation():
    section = EvaluationSection(task="countdown", n=4)
    return pipeline.Evaluation(parse_models("base=embedded:countdown"), section)


def test_an_evaluation_begins_with_the_audit(evaluation, tmp_path):
    assert pipeline.audit(evaluation, tmp_path) == []
    assert json.loads((tmp_path / "audit.json").read_text())["task"] == "countdown"
    assert not (tmp_path / "samples.jsonl").exists()


def test_strict_stops_before_sampling(tmp_path, monkeypatch):
    monkeypatch.setattr("polychromic.settings.catalog.build", lambda shelf, kind, **parts: Lenient())
    arguments = ["--models", "base=embedded:countdown", "--task", "countdown", "--strict"]
    arguments += ["--trust-judge", "--out", str(tmp_path)]
    done = CliRunner().invoke(evaluate.command, arguments)
    assert done.exit_code == 1
    assert "accepts 20 of 20 controls of kind 'prompt echo'" in done.output
    assert not (tmp_path / "samples.jsonl").exists()


def test_verb(tmp_path):
    folder_of(tmp_path, [["x", "x"], ["y", "y"]])
    done = CliRunner().invoke(audit_command, [str(tmp_path)])
    assert done.exit_code == 0
    assert "warning: sft at temperature 1: 100% of the prompts have identical candidates" in done.output
    assert CliRunner().invoke(audit_command, [str(tmp_path), "--strict"]).exit_code == 1
    said = json.loads(CliRunner().invoke(audit_command, ["--task", "countdown", "--prompts", "20", "--json"]).output)
    assert said["rates"][0]["kind"] == "right answer"
