from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from polychromic.core.errors import InputError, SettingsError
from polychromic.project import launch

TEXT = "experiment: {{name: {name}, output_root: {root}}}\nmodel: {{name_or_path: m}}\ndata: {{train_file: a}}\n"


@pytest.fixture
def configs(tmp_path):
    paths = []
    for name in ("a", "b.1", "c"):
        path = tmp_path / f"{name}.yaml"
        path.write_text(TEXT.format(name=name, root=tmp_path / "runs"))
        paths.append(str(path))
    return paths


def test_runs_are_dealt_out_to_gpus_or_follow_one_another(configs):
    (one,) = launch.jobs(configs)
    assert one.session == "polychromic-a-and-2-more"
    assert [one.command.index(config) for config in configs] == sorted(one.command.index(config) for config in configs)
    assert "CUDA_VISIBLE_DEVICES" not in one.command
    first, second = launch.jobs(configs, ["lora.r=4"], ["0", "1"])
    assert first.command.startswith("export CUDA_VISIBLE_DEVICES=0; ")
    assert configs[0] in first.command
    assert configs[2] in first.command
    assert configs[1] in second.command
    assert second.session == "polychromic-b_1"
    assert second.command.count("lora.r=4") == 1
    assert second.log.name == "b.1.log"


def test_a_wrong_configuration_stops_all_before_any_starts(configs):
    Path(configs[2]).write_text("modell: {}\n")
    with pytest.raises(SettingsError, match="did you mean model"):
        launch.jobs(configs)
    with pytest.raises(InputError, match="both train into"):
        launch.jobs([configs[0], configs[0]])
    with pytest.raises(InputError, match="no configuration"):
        launch.jobs([])


def stand_in(monkeypatch, tmp_path, body):
    """Replaces the interpreter of the commands by a script."""
    script = tmp_path / "python"
    script.write_text(body if body.startswith("#!") else f"#!/usr/bin/env bash\n{body}\n")
    script.chmod(0o755)
    monkeypatch.setattr(launch.sys, "executable", str(script))


def test_without_tmux_runs_happen_here_and_a_failure_does_not_stop_the_next(configs, tmp_path, monkeypatch):
    monkeypatch.setattr(launch, "has_tmux", lambda: False)
    stand_in(monkeypatch, tmp_path, 'echo "$4"; case "$4" in *a.yaml) exit 3;; esac')
    (job,) = launch.jobs(configs)
    assert launch.start(job) == 3
    assert job.log.read_text().split() == configs


def test_an_interrupted_run_stops_those_after_it(configs, tmp_path, monkeypatch):
    monkeypatch.setattr(launch, "has_tmux", lambda: False)
    stand_in(monkeypatch, tmp_path, 'echo "$4"; exit 130')
    (job,) = launch.jobs(configs)
    assert launch.start(job) == 130
    assert job.log.read_text().split() == configs[:1]


@pytest.mark.skipif(shutil.which("tmux") is None, reason="needs tmux")
def test_with_tmux_a_session_is_made_and_not_twice(configs, tmp_path, monkeypatch):
    monkeypatch.setenv("TMUX_TMPDIR", str(tmp_path))
    monkeypatch.delenv("TMUX", raising=False)
    stand_in(monkeypatch, tmp_path, "echo begun; sleep 20")
    (job,) = launch.jobs(configs[:1])
    try:
        assert launch.start(job) == 0
        with pytest.raises(InputError, match="tmux attach -t polychromic-a"):
            launch.start(job)
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline and not (job.log.exists() and "begun" in job.log.read_text()):
            time.sleep(0.05)
        assert job.log.read_text() == "begun\n"
    finally:
        subprocess.run(["tmux", "kill-server"], check=False, capture_output=True)


RUN = """#!{python}
import pathlib, sys, time
from polychromic.core.stopping import StoppedError, finishing
try:
    with finishing("this step") as stop:
        print(sys.argv[4], flush=True)
        while not stop.heard:
            time.sleep(0.01)
        time.sleep(0.3)
        print("saving", flush=True)
        pathlib.Path(__file__ + ".saved").write_text("saved")
except StoppedError as error:
    sys.exit(error.exit_code)
"""

SAID = "polychromic: {}: stopping when this step is done and saved; once more stops at once"


def until(condition, seconds=20):
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline and not condition():
        time.sleep(0.05)
    assert condition()


@pytest.mark.parametrize("status", [129, 130, 138, 143])
def test_a_run_that_was_asked_to_stop_stops_those_after_it(configs, tmp_path, monkeypatch, status):
    monkeypatch.setattr(launch, "has_tmux", lambda: False)
    stand_in(monkeypatch, tmp_path, f'echo "$4"; exit {status}')
    (job,) = launch.jobs(configs)
    assert launch.start(job) == status
    assert job.log.read_text().split() == configs[:1]


def test_here_a_signal_is_passed_on_and_the_run_waited_for(configs, tmp_path, monkeypatch):
    monkeypatch.setattr(launch, "has_tmux", lambda: False)
    stand_in(monkeypatch, tmp_path, RUN.format(python=sys.executable))
    (job,) = launch.jobs(configs)
    begun = threading.Thread(
        target=lambda: (until(lambda: job.log.exists() and job.log.read_text()), os.kill(os.getpid(), signal.SIGTERM))
    )
    begun.start()
    assert launch.start(job) == 143
    begun.join()
    assert job.log.read_text().split() == [configs[0], *SAID.format("SIGTERM").split(), "saving"]
    assert (tmp_path / "python.saved").exists()


@pytest.mark.skipif(shutil.which("tmux") is None, reason="needs tmux")
def test_kill_session_lets_the_run_save_and_starts_no_other(configs, tmp_path, monkeypatch):
    monkeypatch.setenv("TMUX_TMPDIR", str(tmp_path))
    monkeypatch.delenv("TMUX", raising=False)
    stand_in(monkeypatch, tmp_path, RUN.format(python=sys.executable))
    (job,) = launch.jobs(configs)
    try:
        assert launch.start(job) == 0
        until(lambda: job.log.exists() and job.log.read_text())
        subprocess.run(["tmux", "kill-session", "-t", job.session], check=True)
        until(lambda: (tmp_path / "python.saved").exists())
        time.sleep(0.3)
        assert job.log.read_text().split() == [configs[0], *SAID.format("SIGHUP").split(), "saving"]
    finally:
        subprocess.run(["tmux", "kill-server"], check=False, capture_output=True)


def test_the_last_of_the_lanes_to_end_does_what_is_done_then_and_once(configs, tmp_path, monkeypatch):
    monkeypatch.setattr(launch, "has_tmux", lambda: False)
    stand_in(monkeypatch, tmp_path, 'case "$4" in *a.yaml) exit 3;; esac')  # one that failed has ended too
    done = tmp_path / "done"
    for _ in range(2):  # and again, in the same folder
        done.unlink(missing_ok=True)
        first, second = launch.when_done(launch.jobs(configs, (), ["0", "1"]), f"echo 'it''s over' | tee -a {done} # x")
        assert launch.start(first) == 3
        assert not done.exists()
        assert launch.start(second) == 0
        assert done.read_text() == "its over\n"
    assert "its over" in second.log.read_text()


def test_what_was_stopped_is_not_followed(configs, tmp_path, monkeypatch):
    monkeypatch.setattr(launch, "has_tmux", lambda: False)
    stand_in(monkeypatch, tmp_path, "exit 143")
    (job,) = launch.when_done(launch.jobs(configs), f"touch {tmp_path / 'done'}")
    assert launch.start(job) == 143
    assert not (tmp_path / "done").exists()
