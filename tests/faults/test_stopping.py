"""Stopping a run and going on: by a signal, by the clock, by extending it; the account is of all parts."""

import os
import shutil
import signal
from pathlib import Path

import pytest

from polychromic.core.errors import InputError
from polychromic.core.stopping import SIGNALS, StoppedError
from polychromic.records.jsonl import read_json, read_rows
from polychromic.stages import train
from polychromic.training.checkpoints import MANIFEST, SEALED, checkpoints
from tests.faults.test_train_stage import outcome

LOGGED = {"logging_steps": 4, "save_steps": 100}
"""Neither a log nor a checkpoint of the run's own falls on the step in which it is stopped."""


def asking(number, step):
    """A Progress that asks the run to stop when ``step`` is done."""

    def progress(work, done, total):
        if done == step and work.startswith("train"):
            os.kill(os.getpid(), number)

    return progress


@pytest.fixture(scope="module")
def whole(settings_of):
    """The uninterrupted run."""
    return train.run(settings_of("unbroken", **LOGGED))


@pytest.mark.parametrize("number", SIGNALS, ids=lambda number: signal.Signals(number).name)
def test_a_stopped_run_goes_on_as_if_nothing_had_happened(whole, settings_of, number):
    """Stopped in step 2 of 6, half-way to a log: log, tokens and loss are those of the uninterrupted run."""
    settings = settings_of(f"by-{number}", **LOGGED)
    with pytest.raises(StoppedError, match=r"by-\d+ is saved at step 2") as caught:
        train.run(settings, None, asking(number, 2))
    assert caught.value.exit_code == 128 + number
    root = Path(settings.experiment.output_root) / f"by-{number}"
    before = read_json(root / "run.json")
    assert before["finished"] is None
    assert before["seconds"] > 0
    assert before["parts"] == 1
    folder = train.run(settings)
    facts = read_json(folder.run_json)
    assert facts["resumed_from"] == checkpoints(folder.checkpoints)[-1].name
    assert outcome(folder) == outcome(whole)
    assert facts["parts"] == 2
    assert facts["seconds"] > before["seconds"]
    rows = [row for _, row in read_rows(folder.metrics)]
    assert [row["seconds"] for row in rows] == sorted(row["seconds"] for row in rows)
    assert rows[-1]["train_runtime"] == rows[-1]["seconds"] > before["seconds"]


def test_a_run_that_died_after_its_last_checkpoint_trains_no_step_more(settings_of, monkeypatch):
    steady = LOGGED | {"lr_scheduler_type": "constant", "save_steps": 2}
    settings, uninterrupted = settings_of("died-at-the-end", **steady), train.run(settings_of("steady", **steady))
    with monkeypatch.context() as patch:
        patch.setattr("polychromic.training.faults.refuse_bad_weights", None)
        with pytest.raises(TypeError):
            train.run(settings)
    folder = train.run(settings)
    assert read_json(folder.run_json)["resumed_from"] == "checkpoint-6"
    assert outcome(folder) == outcome(uninterrupted)


def test_seconds_of_work_that_was_lost_count(settings_of, monkeypatch):
    """Two parts were killed: one after its checkpoint, one before it logged anything."""
    settings = settings_of("spent")
    folder = train.run(settings)
    facts = read_json(folder.run_json)
    folder.adapter.unlink()
    from polychromic.records.artefacts import begin_part, update_run

    update_run(folder, finished=None, seconds=1000.0, parts=1)
    assert begin_part(folder) == 1000.0
    update_run(folder, seconds=None)
    assert begin_part(folder) == pytest.approx(facts["seconds"], abs=0.1)
    assert read_json(folder.run_json)["parts"] == 3


def test_checkpoints_by_the_clock(settings_of):
    settings = settings_of("clock", max_steps=3, save_steps=100, save_minutes=1e-9)
    folder = train.run(settings)
    assert {path.name for path in checkpoints(folder.checkpoints)} == {f"checkpoint-{step}" for step in (1, 2, 3)}
    assert not list(folder.path.rglob("training_args.bin"))
    settings = settings_of("no-clock", max_steps=3, save_strategy="no", save_minutes=1e-9)
    assert not checkpoints(train.run(settings).checkpoints)


def test_a_run_is_extended_on_purpose_only_and_says_so(settings_of):
    short = settings_of("longer", max_steps=2)
    folder = train.run(short)
    longer = settings_of("longer", max_steps=4, logging_steps=2)
    with pytest.raises(InputError, match=r"training\.logging_steps, training\.max_steps"):
        train.run(longer)
    with pytest.raises(InputError, match=r"training\.max_steps"):
        train.run(longer, extended=["training.logging_steps"])
    with pytest.raises(InputError, match=r"--extend: lora\.r would make another run of it; allowed: "):
        train.run(longer, extended=["lora.r"])
    train.run(longer, extended=["training.max_steps", "training.logging_steps"])
    facts = read_json(folder.run_json)
    assert facts["finished"]
    assert facts["steps"] == 4
    assert facts["resumed_from"] == "checkpoint-2"
    (extension,) = facts["extended"]
    assert extension["finished"]
    assert extension["changes"] == {"training.logging_steps": [1, 2], "training.max_steps": [2, 4]}
    rows = [row for _, row in read_rows(folder.metrics) if "loss" in row]
    assert [row["step"] for row in rows] == [1, 2, 4]
    assert rows[-1]["learning_rate"] == pytest.approx(1e-3 / 4)  # the schedule of four steps, before its last
    before = folder.adapter.stat().st_mtime_ns
    train.run(longer, extended=["training.max_steps"])  # the same command again
    assert folder.adapter.stat().st_mtime_ns == before
    with pytest.raises(InputError, match=r"training\.max_steps: 3, and .* is at step 4 already"):
        train.run(settings_of("longer", max_steps=3, logging_steps=2), extended=["training.max_steps"])


def test_all_manifests_gone_is_not_the_beginning(settings_of):
    settings = settings_of("unsealed")
    with pytest.raises(StoppedError):
        train.run(settings, None, asking(signal.SIGUSR1, 1))
    root = Path(settings.experiment.output_root) / "unsealed" / "checkpoints"
    for folder in checkpoints(root):
        (folder / MANIFEST).unlink()
    with pytest.raises(InputError, match=r"every checkpoint is damaged .*it was never completed"):
        train.run(settings)
    for folder in checkpoints(root):
        shutil.rmtree(folder)
    with pytest.raises(InputError, match="all of them are gone"):
        train.run(settings)
    (root / SEALED).unlink()
    assert train.run(settings).finished
