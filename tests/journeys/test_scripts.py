"""The two scripts, really run on the demo's configurations with tiny settings, with tmux and without."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

import polychromic

ROOT = Path(polychromic.__path__[0]).parent
SCRIPTS = ("train_polychromic_variants.sh", "evaluate_three_models.sh")


@pytest.fixture
def checkout(tmp_path):
    """A checkout with what the scripts need."""
    folder = tmp_path / "checkout"
    shutil.copytree(ROOT / "config", folder / "config")
    for name in SCRIPTS:
        shutil.copy(ROOT / name, folder / name)
    return folder


@pytest.fixture
def own(environment, tmp_path):
    """An environment with a tmux server of its own."""
    found = environment | {"POLYCHROMIC": f"{sys.executable} -m polychromic", "TMUX_TMPDIR": str(tmp_path)}
    found.pop("TMUX", None)
    return found


def bash(environment, *arguments):
    return subprocess.run(["bash", *map(str, arguments)], capture_output=True, text=True, env=environment, timeout=400)


def is_finished(run):
    return (run / "run.json").exists() and bool(json.loads((run / "run.json").read_text())["finished"])


def without_tmux(tmp_path):
    """A folder of links to every program of the PATH but tmux."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for place in os.environ["PATH"].split(os.pathsep):
        for program in Path(place).glob("*") if Path(place).is_dir() else ():
            link = folder / program.name
            if program.name != "tmux" and not link.is_symlink():
                link.symlink_to(program)
    return str(folder)


def trainable(tiny):
    return [value for value in tiny if not value.startswith("evaluation.")]


@pytest.mark.skipif(shutil.which("tmux") is None, reason="needs tmux")
def test_with_tmux_the_variants_are_trained_and_three_models_compared(checkout, own, tiny):
    demo = checkout / "runs" / "demo"
    runs = [demo / name for name in ("sft", "online", "harvest")]
    begun = bash(own, checkout / SCRIPTS[0], "--demo", *trainable(tiny))
    try:
        assert begun.returncode == 0, begun.stderr
        assert "tmux attach" in begun.stdout
        deadline = time.monotonic() + 360
        while time.monotonic() < deadline and not all(map(is_finished, runs)):
            time.sleep(0.3)
        assert all(map(is_finished, runs)), next(demo.glob("*.log")).read_text()[-2000:]
    finally:
        subprocess.run(["tmux", "kill-server"], env=own, capture_output=True, check=False)
    small = ["--max-prompts", "12", "--n", "4", "--max-new-tokens", "12", "--encoder", "hashing"]
    evaluated = bash(own, checkout / SCRIPTS[1], "--demo", *small)
    assert evaluated.returncode == 0, evaluated.stderr
    assert evaluated.stdout.strip().splitlines()[-1] == "report: runs/demo/three-models/report.html"
    page = (demo / "three-models" / "report.html").read_text()
    assert all(run.name in page for run in runs)


def test_without_tmux_a_run_happens_here_and_a_second_call_leaves_it(checkout, own, tmp_path, tiny):
    own["PATH"] = without_tmux(tmp_path)
    once = [checkout / SCRIPTS[0], "config/demo/sft.yaml", *trainable(tiny)]
    begun = bash(own, *once)
    assert begun.returncode == 0, begun.stderr
    assert "tmux" not in begun.stdout
    run = checkout / "runs" / "demo" / "sft"
    assert is_finished(run)
    assert "train sft: 4/4" in (run.parent / "sft.log").read_text()
    made = (run / "adapter_model.safetensors").stat().st_mtime_ns
    assert bash(own, *once).returncode == 0
    assert (run / "adapter_model.safetensors").stat().st_mtime_ns == made


@pytest.mark.parametrize("script", SCRIPTS)
def test_a_script_is_short_strict_and_says_what_it_is_for(script):
    text = (ROOT / script).read_text()
    assert text.count("\n") < 60
    assert "set -euo pipefail" in text
    head = text.partition("set -euo")[0]
    assert "Hardware:" in head
    assert "Duration:" in head
    shown = bash(dict(os.environ), ROOT / script, "--help")
    assert shown.returncode == 0
    assert "Hardware:" in shown.stdout


def test_a_wrong_argument_of_the_training_script_is_named(own):
    done = bash(own, ROOT / SCRIPTS[0], "--dmo")
    assert done.returncode == 2
    assert "unknown argument: --dmo" in done.stderr


def arguments_of(script, environment, *given):
    """What the script would call the program with."""
    done = bash(environment | {"POLYCHROMIC": r"printf %s\n"}, script, *given)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def test_the_evaluation_script_asks_for_conversations_unless_told_a_task(own):
    called = arguments_of(ROOT / SCRIPTS[1], own, "--n", "32")
    assert called[called.index("--task") + 1] == "{kind: conversations, path: data/eval.jsonl}"
    assert called[-2:] == ["--n", "32"]
    called = arguments_of(ROOT / SCRIPTS[1], own | {"TASK": "functions18"})
    assert called[called.index("--task") + 1] == "functions18"


@pytest.mark.parametrize("script", SCRIPTS)
def test_a_script_takes_the_checkout_s_own_installation(script, checkout, own):
    program = checkout / ".venv" / "bin" / "polychromic"
    program.parent.mkdir(parents=True)
    program.write_text('#!/bin/sh\necho "own $1"\n')
    program.chmod(0o755)
    own.pop("POLYCHROMIC")
    assert bash(own, checkout / script).stdout in ("own launch\n", "own evaluate\n")
