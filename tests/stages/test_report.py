"""The report's tables and figures on their way to W&B."""

import json
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

import polychromic.training.tracking  # noqa: F401  before a stand-in takes wandb's place
from polychromic.cli.report import command
from polychromic.core.nouns import Completion, Decoding, Prompt, SampleSet
from polychromic.records.costs import append, drawn
from polychromic.records.jsonl import write_rows
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
        self.sent, self.files, self.modes, self.fail = {}, [], [], fail

    def init(self, *, mode, **options):
        self.modes.append(mode)
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


def test_disabled(folder):
    assert report.publish(folder, TrackingSection(wandb="disabled")) == "disabled"


def test_verb(folder, tmp_path):
    done = CliRunner().invoke(command, [str(folder)], catch_exceptions=False)
    assert done.output.strip().endswith("report.html")
    assert CliRunner().invoke(command, [str(folder), "--run", "sft"]).exit_code == 2
