"""Several ranks are one run: one folder, log and voice; whichever of them goes away, the same command continues."""

import json
import math
import os
import shutil
import signal
import subprocess
from pathlib import Path

import pytest
import torch
import yaml
from safetensors.torch import load_file

import polychromic
from polychromic.records.artefacts import RunFolder
from polychromic.records.jsonl import read_json
from polychromic.settings.load import resolved_yaml
from polychromic.settings.schema import ScheduleSection
from polychromic.stages import train
from polychromic.training.checkpoints import corruption_reason
from tests import processes

ROOT = Path(polychromic.__path__[0]).parent
SCRIPT = """
import os, signal, sys
from polychromic.__main__ import main
from polychromic.core.errors import InputError, NumericalError
from polychromic.training.term import DiversityTerm
deeds, sets, step = dict(word.split("=") for word in sys.argv[2:]), DiversityTerm._sets, 0
def hit(term, *args):
    global step
    step += 1
    deed = deeds.get(f"{os.environ.get('RANK')}@{step}")
    if deed == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    if deed == "stop":
        os.kill(os.getpid(), signal.SIGTERM)
    if deed == "fail":
        raise InputError("this rank's row is bad")
    if deed == "nan":
        raise NumericalError("no numbers")
    return sets(term, *args)
DiversityTerm._sets = hit
main(["train", sys.argv[1]])
"""
DEADLINE = 60.0


@pytest.fixture(scope="module")
def start(settings_of, tmp_path_factory):
    """``start(settings, **deeds)``: the ended ranks' statuses and words; a deed is such as ``{"1@3": "kill"}``."""
    folder = tmp_path_factory.mktemp("started")
    script = folder / "ranks.py"
    script.write_text(SCRIPT)

    def make(settings, deeds=None, count=2, **environment):
        path = folder / f"{settings.experiment.name}.yaml"
        path.write_text(resolved_yaml(settings))
        words = [f"{at}={deed}" for at, deed in (deeds or {}).items()]
        with processes.ranks(script, path, *words, count=count, **environment) as all:
            try:
                said = [rank.communicate(DEADLINE) for rank in all]
            except subprocess.TimeoutExpired:
                pytest.fail("a rank waits for one that is gone")
        return [rank.returncode for rank in all], said

    return make


@pytest.fixture(scope="module")
def two(settings_of, start):
    """The uninterrupted run of two ranks, and what they said."""
    settings = settings_of("two", max_steps=4)
    return RunFolder(Path(settings.experiment.output_root) / "two"), start(settings)


def log_of(folder):
    rows = [json.loads(line) for line in folder.metrics.read_text().splitlines()]
    clock = ("seconds", "runtime", "per_second", "num_tokens")
    return [{k: v for k, v in row.items() if not any(word in k for word in clock)} for row in rows if "loss" in row]


def lines(said):
    return [line for _, words in said for line in words.splitlines() if line.startswith("polychromic:")]


def test_two_ranks_are_one_run(two):
    folder, (statuses, said) = two
    assert statuses == [0, 0], said
    assert [str(folder.path) in out.splitlines() for out, _ in said] == [True, False]
    assert not said[1][0]
    assert not lines(said)
    assert [row["step"] for row in log_of(folder)] == [1, 2, 3, 4]
    assert read_json(folder.run_json)["ranks"] == 2
    for name in ("checkpoint-2", "checkpoint-4"):
        sealed = read_json(folder.checkpoints / name / "MANIFEST.json")
        assert {"rng_state_0.pth", "rng_state_1.pth"} <= set(sealed["files"])
        assert sealed["ranks"] == 2
        assert not corruption_reason(folder.checkpoints / name)


def test_ranks_that_are_killed_end_and_the_same_command_continues(two, settings_of, start, tmp_path):
    settings = settings_of("killed", max_steps=4)
    folder = RunFolder(Path(settings.experiment.output_root) / "killed")
    statuses, said = start(settings, {"1@4": "kill"})
    assert statuses[1] == -signal.SIGKILL
    assert statuses[0] > 0
    assert lines(said) == [line for line in lines(said) if "rank 0: another rank of this run is gone" in line]
    assert len(lines(said)) == 1
    shutil.copytree(folder.path, tmp_path / "killed")
    statuses, _ = start(settings, {"0@2": "kill", "1@2": "kill"})
    assert statuses == [-signal.SIGKILL] * 2
    statuses, said = start(settings)
    assert statuses == [0, 0], said
    assert read_json(folder.run_json)["resumed_from"] == "checkpoint-2"
    assert folder.adapter.read_bytes() == two[0].adapter.read_bytes()
    assert log_of(folder) == log_of(two[0])
    # one rank goes on where two were, and says what that changes
    with pytest.warns(UserWarning, match=r"written by 2 ranks, and 1 continues: a step is now 4 demonstrations, not 8"):
        alone = train.run(settings, tmp_path / "killed")
    assert [row["step"] for row in log_of(alone)] == [1, 2, 3, 4]
    assert alone.adapter.read_bytes() != two[0].adapter.read_bytes()


def test_two_ranks_are_one_rank_with_the_doubled_batch(settings_of, start):
    """Of the demonstrations; samples are drawn for other prompts. One rank's run is taken up by two in its middle."""
    lora = {"r": 4, "lora_alpha": 8}
    pair = settings_of("pair", 0.0, max_steps=3).model_copy(update={"lora": lora})
    assert start(pair)[0] == [0, 0]
    alone = settings_of("alone", 0.0, max_steps=3, per_device_train_batch_size=4).model_copy(update={"lora": lora})
    one, both = train.run(alone), RunFolder(Path(pair.experiment.output_root) / "pair")
    wanted, found = load_file(one.adapter), load_file(both.adapter)
    assert wanted.keys() == found.keys()
    assert max(float(weight.abs().max()) for weight in wanted.values()) > 1e-3
    for name, weight in wanted.items():
        torch.testing.assert_close(found[name], weight, atol=2e-6, rtol=1e-4)
    losses = [[row["loss"] for row in log_of(folder)] for folder in (one, both)]
    assert losses[1] == pytest.approx(losses[0], rel=1e-5)
    shutil.rmtree(one.checkpoints / "checkpoint-3")
    one.adapter.unlink()
    one.run_json.write_text(json.dumps(read_json(one.run_json) | {"finished": None}))
    statuses, said = start(alone)
    assert statuses == [0, 0], said
    assert len(lines(said)) == 1
    assert (
        "checkpoint-2 was written by 1 rank, and 2 continue: a step is now 16 demonstrations, not 8" in lines(said)[0]
    )


def test_an_error_of_one_rank_is_said_once_and_ends_all(settings_of, start):
    statuses, said = start(settings_of("failed"), {"1@2": "fail"})
    assert statuses[1] == 2
    assert statuses[0] > 0
    assert lines(said) == ["polychromic: this rank's row is bad"]
    wrong = settings_of("wrong")
    wrong = wrong.model_copy(update={"polychromic": wrong.polychromic.model_copy(update={"set_size": 9})})
    statuses, said = start(wrong)
    assert statuses == [2, 2]
    assert len(lines(said)) == 1


def test_a_rank_without_a_draw_and_one_that_is_stopped(settings_of, start):
    settings = settings_of("stopped")
    statuses, said = start(settings, {"1@2": "nan", "1@3": "stop"})
    assert [status in (1, 143) for status in statuses] == [True, True], said
    heard, ended = sorted(lines(said))  # the rank that is asked says so, one of the two how it ended
    assert heard.startswith("polychromic: SIGTERM: stopping when this step is done and saved")
    assert "is saved at step 3" in ended
    folder = RunFolder(Path(settings.experiment.output_root) / "stopped")
    assert not corruption_reason(folder.checkpoints / "checkpoint-3")
    assert [row["polychromic/failed_draws"] for row in log_of(folder)] == [0, 1, 0]
    assert all(math.isfinite(row["polychromic/diversity_value"]) for row in log_of(folder))
    assert os.environ.get("RANK") is None


def environment_of(configuration):
    """What accelerate's launcher tells a process of one of our configurations."""
    told = yaml.safe_load((ROOT / "config/accelerate" / configuration).read_text())["fsdp_config"]
    return {"ACCELERATE_USE_FSDP": "true"} | {name.upper(): str(value).lower() for name, value in told.items()}


def test_weights_that_are_shared_out_learn_what_whole_ones_learn(settings_of, start):
    """FSDP2 against DDP, step by step: gate, gradients, norm, monitor; a rank without a draw, one killed, resume."""

    def settings(name):
        made = settings_of(name, max_steps=4, gradient_checkpointing=True, max_grad_norm=0.5)
        section = made.polychromic.model_copy(
            update={"gate": "likelihood", "schedule": ScheduleSection(monitor_every=1)}
        )
        return made.model_copy(update={"lora": {"r": 4, "lora_alpha": 8}, "polychromic": section})

    def folder_of(name):
        return RunFolder(Path(settings(name).experiment.output_root) / name)

    shared = environment_of("fsdp_cpu_2.yaml")
    statuses, said = start(settings("whole"), {"1@2": "nan"})
    assert statuses == [0, 0], said
    statuses, said = start(settings("shared"), {"1@2": "nan", "0@4": "kill"}, **shared)
    assert statuses[0] == -signal.SIGKILL
    statuses, said = start(settings("shared"), **shared)
    assert statuses == [0, 0], said
    assert read_json(folder_of("shared").run_json)["resumed_from"] == "checkpoint-2"
    assert (folder_of("shared").checkpoints / "checkpoint-4" / "pytorch_model_fsdp.bin").exists()
    wanted, found = load_file(folder_of("whole").adapter), load_file(folder_of("shared").adapter)
    assert wanted.keys() == found.keys()
    for name, weight in wanted.items():
        torch.testing.assert_close(found[name], weight, atol=2e-5, rtol=1e-3)
    for one, two in zip(log_of(folder_of("whole")), log_of(folder_of("shared")), strict=True):
        assert one.keys() == two.keys()
        assert two == pytest.approx(one, rel=2e-3, abs=1e-5, nan_ok=True)
        assert one["polychromic/gradient_share"] > 0
