"""The report's tables and figures on their way to W&B."""

import json
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner

import polychromic.training.tracking  # noqa: F401  before a stand-in takes wandb's place
from polychromic.analysis.record import read_comparison
from polychromic.cli.report import command
from polychromic.core.nouns import Completion, Decoding, Prompt, SampleSet
from polychromic.records.costs import append, drawn
from polychromic.records.evaluation import EvaluationFolder
from polychromic.records.jsonl import write_json, write_rows
from polychromic.records.samples import StoredSet, sample_rows
from polychromic.settings.schema import TrackingSection
from polychromic.stages import compare, report


@pytest.fixture
def folder(tmp_path):
    rows = [
        {
            "model": model,
            "temperature": 1.0,
            "prompt_id": f"p{i}",
            "signature": "distinct_correct|k:8",
            "numerator": float(i % 4 + shift),
            "denominator": 1.0,
            "reason": "",
        }
        for model, shift in (("sft", 0), ("moderate", 1))
        for i in range(30)
    ]
    (tmp_path / "measurements.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    secret = {"prompt_id": "p0", "prompt": "secret words", "text": "secret words", "model": "sft", "sample_index": 0}
    secret |= {"adapter": "", "seed": 0, "decoding": {"temperature": 1.0}}
    (tmp_path / "samples.jsonl").write_text(json.dumps(secret) + "\n")
    compare.run(tmp_path)
    report.run(tmp_path)
    return tmp_path


class FakeWandb:
    """Remembers what was sent."""

    def __init__(self, fail=()):
        self.sent, self.files, self.modes, self.fail, self.options, self.summary = {}, [], [], fail, {}, {}

    def init(self, *, mode, **options):
        self.modes.append(mode)
        self.options = options
        if mode in self.fail:
            raise ConnectionError("no network")
        return self

    def log(self, values):
        self.sent |= values

    def log_artifact(self, artifact):
        assert artifact is self

    def finish(self):
        self.sent["finished"] = True

    def add_file(self, path):
        self.files.append(path)

    def Artifact(self, name, type):
        return self

    def Settings(self, **options):
        return options

    def Table(self, columns, data):
        return {"columns": columns, "data": data}

    def Image(self, path):
        return path


def test_tables_figures_and_files_are_sent_but_no_samples(folder, monkeypatch):
    fake = FakeWandb()
    monkeypatch.setitem(sys.modules, "wandb", fake)
    assert report.publish(folder, TrackingSection(wandb="online")) == "online"
    assert fake.sent["tables/scores"]["data"][0][:3] == ["sft", 1.0, "distinct and correct@8"]
    assert fake.sent["tables/differences"]["data"][0][6] == pytest.approx(1.0)
    assert "tables/cost" not in fake.sent
    assert fake.sent["tables/verdicts"]["data"][0][:2] == ["moderate", "strong"]
    assert fake.sent["tables/differences"]["columns"][0] == "metric"
    assert fake.sent["figures/differences"].endswith("differences.png")
    assert fake.sent["finished"]
    assert [path.rsplit("/", 1)[1] for path in fake.files] == ["comparison.json", "report.md"]
    everything = json.dumps(fake.sent) + "".join(Path(path).read_text() for path in fake.files)
    assert "secret" not in everything


def test_the_account_is_sent_too(folder, monkeypatch):
    samples = SampleSet(Prompt("p0", "Say."), (Completion("x", (1, 2, 3)),), Decoding(), "sft")
    stored = StoredSet(samples, "", 0, (0,))
    write_rows(folder / "samples.jsonl", sample_rows(stored))
    append(folder, drawn([stored], (2.0, 1.0), "cpu"))
    fake = FakeWandb()
    monkeypatch.setitem(sys.modules, "wandb", fake)
    report.publish(folder, TrackingSection(wandb="online"))
    row = dict(zip(fake.sent["tables/cost"]["columns"], fake.sent["tables/cost"]["data"][0], strict=True))
    assert (row["model"], row["tokens"], row["device_seconds"], row["multiplier"]) == ("sft", 3, 1.0, 1.0)
    assert row["tokens_per_pass"] is None


def test_without_a_network_it_is_kept_offline(folder, monkeypatch):
    fake = FakeWandb(fail=("online",))
    monkeypatch.setitem(sys.modules, "wandb", fake)
    with pytest.warns(UserWarning, match="could not take the report online: no network"):
        assert report.publish(folder, TrackingSection(wandb="online")) == "offline"


def test_a_failure_does_not_stop_anything(folder, monkeypatch):
    monkeypatch.setitem(sys.modules, "wandb", FakeWandb(fail=("online", "offline")))
    with pytest.warns(UserWarning, match="could not take"):
        assert report.publish(folder, TrackingSection(wandb="offline")) == "failed"


def test_scalars_and_configuration_are_sent_once_where_a_run_was_tracked(folder, tmp_path, monkeypatch):
    """The tracking section is that of the run; the comparison is sent again when it is another."""
    fake, run = FakeWandb(), tmp_path / "moderate"
    monkeypatch.setitem(sys.modules, "wandb", fake)
    evaluation = EvaluationFolder(folder)
    assert report.publish_new(evaluation, {"moderate": run}) == "disabled"
    values = {
        "experiment": {"name": "moderate", "group": "sweep"},
        "model": {"name_or_path": "embedded:countdown"},
        "tracking": {"wandb": "online", "project": "mine"},
    }
    write_json(run / "run.json", {"settings": {"polychromic": {"lambda": 1.5}}})
    (run / "resolved.yaml").write_text(json.dumps(values | {"data": {"task": "countdown"}}))
    assert report.publish_new(evaluation, {"moderate": run}) == "online"
    assert (fake.options["project"], fake.options["group"], fake.options["job_type"]) == ("mine", "sweep", "evaluate")
    assert fake.options["config"]["lambda"] == {"moderate": 1.5}
    assert fake.options["config"]["comparison"]["baseline"] == "sft"
    assert fake.summary == {
        "eval/distinct and correct@8/sft": pytest.approx(43 / 30),
        "eval/distinct and correct@8/moderate": pytest.approx(73 / 30),
        "verdict/moderate": "strong",
    }
    comparison = read_comparison(evaluation.comparison)
    hotter = replace(comparison.scores[0], temperature=1.5, score=9.0)
    assert report.scalars(replace(comparison, scores=(*comparison.scores, hotter))) == fake.summary
    assert report.publish_new(evaluation, {"moderate": run}) == "sent before"
    assert fake.modes == ["online"]
    evaluation.comparison.write_text(evaluation.comparison.read_text() + " ")
    assert report.publish_new(evaluation, {"moderate": run}) == "online"


def test_disabled(folder):
    assert report.publish(folder, TrackingSection(wandb="disabled")) == "disabled"


def test_verb(folder, tmp_path):
    done = CliRunner().invoke(command, [str(folder)], catch_exceptions=False)
    assert done.output.strip().endswith("report.html")
    assert CliRunner().invoke(command, [str(folder), "--run", "sft"]).exit_code == 2
