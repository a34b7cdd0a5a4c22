"""A spot instance from beginning to end: killed, stopped, full, without W&B, and with a judge that was wrong."""

from __future__ import annotations

import json
import random
import shutil
import signal
import time

import pytest

from polychromic.records.costs import read_costs
from polychromic.records.jsonl import read_json, read_rows
from polychromic.settings import catalog
from tests import processes

JUDGE = """
import re

def right(completions, numbers, target, **columns):
    return [made_of(text, have) and eval(text) == goal ALSO for text, have, goal in zip(completions, numbers, target)]

def made_of(text, have):
    used = re.findall("[0-9]+", text)
    whole = re.fullmatch("[0-9]+([-+*][0-9]+)*", text)
    return whole is not None and all(used.count(one) <= list(map(str, have)).count(one) for one in used)
"""
WRONG, RIGHT = "and '-' not in text", ""
CONFIG = """
experiment: {{name: {name}, output_root: {root}/runs, seed: 3}}
model: {{name_or_path: "embedded:countdown", dtype: float32}}
data:
  train_file: {root}/rows.jsonl
  task: {{kind: function, functions: "{root}/trained.py:right"}}
lora: {{r: 4, lora_alpha: 8, lora_dropout: 0.1}}
polychromic: {{lambda: 1.0, n_generations: 4, set_size: 2, max_examples_for_diversity: 2, max_new_tokens: 8}}
training:
  max_steps: 6
  per_device_train_batch_size: 2
  gradient_accumulation_steps: 2
  learning_rate: 1.0e-3
  logging_steps: 1
  save_steps: 2
  use_cpu: true
  bf16: false
  gradient_checkpointing: false
evaluation:
  task: {{kind: function, functions: "{root}/{judge}.py:right", path: {root}/rows.jsonl}}
  n: 4
  max_new_tokens: 8
  max_prompts: 6
  batch_size: 8
  encoder: none
  bootstrap_resamples: 100
tracking: {{wandb: {wandb}}}
"""
DRIVER = '''
"""polychromic ARGUMENTS, with FAULT: SIGNAL at the COUNT-th flush to disk of FILE, AFTER COUNT milliseconds SIGKILL,
or FULL for files above COUNT bytes."""
import os, resource, signal, sys, threading
from polychromic.__main__ import main
from polychromic.training import tracking

fault, name, count, *arguments = sys.argv[1:]
left, flush = int(count), os.fsync

def counting(descriptor):
    global left
    flush(descriptor)
    if os.readlink(f"/proc/self/fd/{descriptor}").endswith(name):
        left -= 1
        if not left:
            os.kill(os.getpid(), getattr(signal, fault))

tracking.INIT_SECONDS = 1.0
if fault == "FULL":
    resource.setrlimit(resource.RLIMIT_FSIZE, (left, left))
elif fault == "AFTER":
    kill = threading.Timer(left / 1000, os.kill, (os.getpid(), signal.SIGKILL))
    kill.daemon = True
    kill.start()
elif fault != "NONE":
    os.fsync = counting
main(arguments)
'''
NO_FAULT = ("NONE", "-", 0)
KILLS = ("SIGKILL", "AFTER")


@pytest.fixture
def machine(tmp_path, environment):
    """Runs a verb with a fault on a machine whose W&B is dead; its exit status and what it said."""
    shown = [
        example for example in catalog.build("tasks", "countdown").examples("train") if "-" not in example.demonstration
    ]
    rows = [{"prompt": one.prompt.content, "completion": one.demonstration} | one.prompt.payload for one in shown[:36]]
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    for name, judged in (("trained", RIGHT), ("judge", WRONG), ("right", RIGHT)):
        (tmp_path / f"{name}.py").write_text(JUDGE.replace("ALSO", judged))
    for name, judge, wandb in (("spot", "judge", "online"), ("calm", "right", "disabled")):
        (tmp_path / f"{name}.yaml").write_text(CONFIG.format(root=tmp_path, name=name, judge=judge, wandb=wandb))
    (tmp_path / "driver.py").write_text(DRIVER)
    nobody = {"WANDB_BASE_URL": "http://127.0.0.1:9", "WANDB_API_KEY": "0" * 40, "POLYCHROMIC_PRICE_PER_HOUR": "3600"}
    here = {name: value for name, value in environment.items() if name != "WANDB_MODE"} | nobody

    def run(verb, name, fault=NO_FAULT):
        run_folder = tmp_path / "runs" / name
        arguments = {
            "train": (tmp_path / f"{name}.yaml", *(("tracking.wandb=disabled",) if fault[0] in KILLS else ())),
            "evaluate": (
                *("--models", f"trained={run_folder}", "--config", tmp_path / f"{name}.yaml"),
                *("--baseline", "base", "--out", tmp_path / f"evaluation-{name}"),
            ),
            "cost": (tmp_path, "--json", "--device", "cpu"),
        }[verb]
        done = processes.run(tmp_path / "driver.py", *fault, verb, *arguments, environment=here, folder=tmp_path)
        assert "Traceback" not in done.stderr
        assert "unexpected" not in done.stderr
        return done

    return run


def outcome(folder):
    """Everything a run computed: the weights, and its log without the clocks."""
    rows = [row for _, row in read_rows(folder / "metrics.jsonl")]
    clocks = ("seconds", "runtime", "per_second", "dollars")
    kept = [{key: value for key, value in row.items() if not any(word in key for word in clocks)} for row in rows]
    return (folder / "adapter_model.safetensors").read_bytes(), kept


def judged(folder):
    """The texts with their last verdicts, and what was concluded."""
    verdicts = {}
    for _, row in read_rows(folder / "verdicts.jsonl"):
        verdicts[row["model"], row["prompt_id"], row["sample_index"]] = row["status"]
    compared = read_json(folder / "comparison.json")
    return verdicts, {name: compared[name] for name in ("differences", "verdicts") if name in compared}


TRAINING = {
    ("SIGKILL", "metrics.jsonl", 1): (-signal.SIGKILL, ""),  # before any checkpoint
    ("FULL", "-", 20_000): (1, "no space left on the disk"),
    ("SIGKILL", "optimizer.pt", 1): (-signal.SIGKILL, "checkpoint-2: it was never completed"),  # in a checkpoint
    ("SIGKILL", "metrics.jsonl", 3): (-signal.SIGKILL, "checkpoint-2: it was never completed"),
    ("SIGHUP", "metrics.jsonl", 1): (128 + signal.SIGHUP, "spot is saved at step"),
    NO_FAULT: (0, "wandb could not start online"),
}
EVALUATION = {
    ("SIGKILL", "samples.jsonl", 2): (-signal.SIGKILL, "to sample: 48"),
    ("SIGHUP", "samples.jsonl", 1): (128 + signal.SIGHUP, "24 of 48 samples are kept"),
    ("SIGKILL", "verdicts.jsonl", 1): (-signal.SIGKILL, "24 are there"),
    NO_FAULT: (0, "to sample: nothing"),
}
REPAIRED = {
    ("SIGKILL", "verdicts.jsonl", 1): (-signal.SIGKILL, "48 verdicts were made of other samples, other tests"),
    NO_FAULT: (0, "to sample: nothing"),
}


def test_nothing_is_lost_nothing_is_wrong_and_nothing_is_silent(machine, tmp_path):
    """A calm run with the right judge from the beginning has the same weights, texts and verdicts."""

    def suffer(verb, faults):
        for fault, (status, words) in faults.items():
            done = machine(verb, "spot", fault)
            assert (done.returncode, words in done.stderr) == (status, True), (fault, done.stderr)
        return done

    for verb in ("train", "evaluate"):
        assert machine(verb, "calm").returncode == 0
    spot, calm = (tmp_path / "runs" / name for name in ("spot", "calm"))
    suffer("train", TRAINING)
    assert outcome(spot) == outcome(calm)
    facts = read_json(spot / "run.json")
    assert (facts["parts"], facts["wandb"]["mode"], facts["resumed_from"]) == (6, "offline", "checkpoint-4")
    trained = spot / "adapter_model.safetensors"
    before = trained.stat().st_mtime_ns
    assert "finished on" in machine("train", "spot").stdout
    assert trained.stat().st_mtime_ns == before

    folders = [tmp_path / f"evaluation-{name}" for name in ("spot", "calm")]
    suffer("evaluate", EVALUATION)
    samples = (folders[0] / "samples.jsonl").read_bytes()
    misjudged, truth = map(judged, folders)
    assert misjudged[0].keys() == truth[0].keys()
    wronged = {key for key, status in truth[0].items() if status != misjudged[0][key]}
    assert {truth[0][key] for key in wronged} == {"passed"}
    assert misjudged != truth

    (tmp_path / "judge.py").write_text((tmp_path / "right.py").read_text())
    assert "report: " in suffer("evaluate", REPAIRED).stdout
    assert judged(folders[0]) == truth
    assert (folders[0] / "samples.jsonl").read_bytes() == samples  # nothing is drawn anew for a judge

    account = json.loads(machine("cost", "spot").stdout)
    spent = {run["name"]: run["spent"] for run in account["runs"]}
    assert spent["spot"] >= sum(row.seconds for row in read_costs(spot) if row.stage == "train") > 0
    assert account["spent"] == pytest.approx(account["training"] + account["evaluation"])
    sold = {(row.model, row.prompt_id, index) for row in read_costs(folders[0]) for index in row.indices}
    assert sold >= truth[0].keys()


@pytest.mark.slow
@pytest.mark.timeout(0)
@pytest.mark.parametrize(("verb", "wanted"), [("train", 500), ("evaluate", 200)])
def test_many_kills_change_nothing(verb, wanted, machine, tmp_path, capsys):
    """At any instant or flush to disk; every run is killed up to eight times, goes on to its end, and is the calm one.

    Killed is ``calm`` itself, which begins anew each time.
    """
    assert machine("train", "calm").returncode == 0
    began = time.monotonic()
    assert machine("evaluate", "calm").returncode == 0
    folder, seen = (tmp_path / "runs" / "calm", outcome) if verb == "train" else (tmp_path / "evaluation-calm", judged)
    whole = seen(folder)
    milliseconds = int(1200 * (time.monotonic() - began))
    chance, kills, runs, different = random.Random(0), 0, 0, 0
    while kills < wanted:
        shutil.rmtree(folder)
        for _ in range(8):
            at_a_flush = ("SIGKILL", "", chance.randrange(1, 60))
            status = machine(verb, "calm", chance.choice([at_a_flush, ("AFTER", "-", chance.randrange(milliseconds))]))
            assert status.returncode in (0, -signal.SIGKILL), status.stderr
            kills += status.returncode != 0
        assert machine(verb, "calm").returncode == 0
        runs, different = runs + 1, different + (seen(folder) != whole)
        with capsys.disabled():
            print(f"\r{verb}: {kills} kills in {runs} runs, {different} of them different", end="", flush=True)
    assert different == 0
