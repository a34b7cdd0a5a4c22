"""The metrics file is the record; wandb never stands in the way."""

import json
from types import SimpleNamespace

import pytest

from polychromic.records.artefacts import RunFolder, open_run
from polychromic.records.jsonl import read_json
from polychromic.settings.schema import TrackingSection
from polychromic.training.tracking import MetricsFile, WandbRun
from tests.wandb_file import decoded, facts, of_kind


def at(step, logs=None):
    return SimpleNamespace(global_step=step, is_world_process_zero=True, log_history=[] if logs is None else [logs])


def rows(path):
    return [
        {key: value for key, value in json.loads(line).items() if key != "seconds"}
        for line in path.read_text().splitlines()
    ]


def test_every_log_is_a_row_and_a_resumed_run_drops_what_lies_after_its_step(tmp_path):
    path = tmp_path / "metrics.jsonl"
    file = MetricsFile(path)
    file.on_train_begin(None, at(0), None)
    for step in (1, 2, 3):
        file.on_log(None, at(step, {"loss": float(step), "bad": float("nan")}), None)
    file.on_train_end(None, at(3), None)
    assert rows(path) == [{"step": step, "loss": float(step), "bad": None} for step in (1, 2, 3)]
    with path.open("ab") as half:
        half.write(b'{"step": 4, "lo')
    again = MetricsFile(path)
    again.on_train_begin(None, at(2), None)
    again.on_log(None, at(3, {"loss": 9.0}), None)
    again.on_train_end(None, at(3), None)
    assert [row["loss"] for row in rows(path)] == [1.0, 2.0, 9.0]
    fresh = MetricsFile(path)
    fresh.on_train_begin(None, at(0), None)
    fresh.on_train_end(None, at(0), None)
    assert rows(path) == []


@pytest.fixture
def folder(tmp_path) -> RunFolder:
    return open_run(tmp_path / "run", {"a": {"b": 1}}, {})


class Run:
    """What wandb.init gives, as far as it is used."""

    id = "abc"

    def __init__(self, fail=False):
        self.logged, self.finished, self.fail = [], False, fail

    def define_metric(self, *args, **kwargs):
        pass

    def log(self, row):
        if self.fail:
            raise RuntimeError("the service died")
        self.logged.append(row)

    def finish(self):
        self.finished = True


def started(monkeypatch, folder, init, mode="auto", key="k"):
    import wandb

    monkeypatch.setattr(wandb, "init", init)
    monkeypatch.delenv("WANDB_MODE", raising=False)
    if key:
        monkeypatch.setenv("WANDB_API_KEY", key)
    else:
        monkeypatch.delenv("WANDB_API_KEY", raising=False)
        monkeypatch.setenv("NETRC", str(folder.path / "none"))
        monkeypatch.setattr("polychromic.training.tracking.netrc.netrc", lambda: (_ for _ in ()).throw(OSError()))
    tracker = WandbRun(TrackingSection(wandb=mode), folder, "name", {"model": "m"})
    tracker.on_train_begin(None, at(0), None)
    return tracker


def test_numbers_are_sent_and_the_run_is_remembered(monkeypatch, folder):
    calls, run = [], Run()

    def init(**kwargs):
        calls.append(kwargs)
        return run

    tracker = started(monkeypatch, folder, init)
    tracker.on_log(None, at(3, {"loss": 1.0, "text": "secret", "flag": True, "nan": float("nan")}), None)
    tracker.on_train_end(None, at(3), None)
    assert run.logged == [{"train/loss": 1.0, "train/global_step": 3}]
    assert run.finished
    assert (calls[0]["mode"], calls[0]["id"], calls[0]["resume"]) == ("online", None, "allow")
    assert calls[0]["settings"].init_timeout <= 15
    assert calls[0]["config"] == {"model": "m"}
    assert read_json(folder.run_json)["wandb"] == {"id": "abc", "mode": "online"}
    started(monkeypatch, folder, init)
    assert calls[1]["id"] == "abc"


def test_without_a_key_the_run_is_offline(monkeypatch, folder):
    modes = []
    started(monkeypatch, folder, lambda **kwargs: modes.append(kwargs["mode"]) or Run(), key="")
    assert modes == ["offline"]


def test_when_the_service_is_down_the_run_goes_on_offline(monkeypatch, folder):
    modes = []

    def init(**kwargs):
        modes.append(kwargs["mode"])
        if kwargs["mode"] == "online":
            raise TimeoutError("no answer\nsecond line")
        return Run()

    with pytest.warns(UserWarning, match="wandb could not start online: no answer; metrics.jsonl has every number"):
        started(monkeypatch, folder, init)
    assert modes == ["online", "offline"]


def test_when_wandb_fails_in_the_middle_it_is_left_out(monkeypatch, folder):
    tracker = started(monkeypatch, folder, lambda **kwargs: Run(fail=True))
    with pytest.warns(UserWarning, match="could not log"):
        tracker.on_log(None, at(1, {"loss": 1.0}), None)
    tracker.on_log(None, at(2, {"loss": 1.0}), None)
    tracker.on_train_end(None, at(2), None)


def test_disabled_is_never_started(monkeypatch, folder):
    calls = []
    tracker = started(monkeypatch, folder, lambda **kwargs: calls.append(kwargs), mode="disabled")
    tracker.on_log(None, at(1, {"loss": 1.0}), None)
    assert calls == []
    monkeypatch.setenv("WANDB_MODE", "disabled")
    WandbRun(TrackingSection(), folder, "name", {}).on_train_begin(None, at(0), None)
    assert calls == []


@pytest.mark.long
def test_the_offline_file_of_a_run_has_sections_group_and_a_table_that_grows(folder):
    section = TrackingSection(wandb="offline", project="mine", tags=("x",))
    run = WandbRun(section, folder, "diverse", {"polychromic": {"lambda": 2.0}}, "sweep")
    run.on_train_begin(None, at(0), None)
    logs = {"loss": 1.5, "eval_pass@1": 0.25, "polychromic/frac_valid": 0.5, "num_tokens": 7.0, "eval_runtime": 3.0}
    for step in (1, 2):
        run.on_log(None, at(step, logs), None)
        run.table("eval/samples", ("step", "completion"), [[step, f"text {step}"]])
    run.close()
    records = decoded(folder.path)
    (about, *_) = of_kind(records, "run")
    assert (about.project, about.display_name, about.run_group, about.job_type) == ("mine", "diverse", "sweep", "train")
    assert facts(about.config.update)["polychromic"] == {"lambda": 2.0}
    rows = [facts(history.item) for history in of_kind(records, "history")]
    first = {key: value for key, value in rows[0].items() if not key.startswith("_")}
    assert first == {
        "train/loss": 1.5,
        "eval/pass@1": 0.25,
        "health/polychromic/frac_valid": 0.5,
        "cost/num_tokens": 7.0,
        "cost/eval_runtime": 3.0,
        "train/global_step": 1,
    }
    axes = {record.metric.glob_name: record.metric.step_metric for record in records if record.metric.glob_name}
    assert axes == {f"{each}/*": "train/global_step" for each in ("train", "eval", "health", "cost")}
    tables = sorted((folder.path / "wandb").glob("offline-run-*/files/media/table/eval/*.json"))
    assert sorted(row for path in tables for row in json.loads(path.read_text())["data"]) == [
        [1, "text 1"],
        [2, "text 2"],
    ]
