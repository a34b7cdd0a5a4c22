"""README's section on several GPUs, walked on the CPU: accelerate really launches, and a rank is killed on the way.

accelerate's launcher is torchrun's; what torchrun would start is forked here, which takes a quarter of the time.
"""

import os
import re
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import polychromic
from polychromic.records.jsonl import read_json
from tests import processes

ROOT = Path(polychromic.__path__[0]).parent
BIN = Path(sys.executable).parent


def commands():
    """The command lines of the section, in order."""
    section = (ROOT / "README.md").read_text().partition("## Several GPUs")[2].partition("\n## ")[0]
    block = re.search(r"```bash\n(.*?)```", section, re.DOTALL)[1]
    return [shlex.split(line, comments=True) for line in block.replace("\\\n", " ").splitlines()]


@pytest.fixture
def words(tmp_path, tiny):
    """A README command on this machine: the CPU twin of its launcher's configuration, and a tiny run."""
    sizes = [value for value in tiny if not value.startswith("evaluation.")]
    run = [
        str(ROOT / "config/demo/online.yaml"),
        f"experiment.output_root={tmp_path}",
        "experiment.name=moderate",
        "training.use_cpu=true",
        *sizes,
    ]

    def of(command):
        found = []
        for word in command:
            twin = word.replace("ddp_2", "cpu_2")
            found += [*run, "training.max_steps=24"] if word == "CONFIG" else [str(BIN / word) if not found else twin]
        return found

    return of


def test_train_under_accelerate_lose_a_rank_and_go_on_under_torchrun(words, environment, tmp_path):
    first, second, third = commands()
    run = tmp_path / "moderate"
    began = subprocess.Popen(
        words(first), cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    sealed = run / "checkpoints" / "checkpoint-2" / "MANIFEST.json"
    deadline = time.monotonic() + 120
    while not sealed.exists() and began.poll() is None and time.monotonic() < deadline:
        time.sleep(0.02)
    assert sealed.exists(), began.communicate()
    first_rank = int((run / ".lock").read_text())
    others = Path(f"/proc/{began.pid}/task/{began.pid}/children").read_text().split()
    os.kill(next(int(pid) for pid in others if int(pid) != first_rank), signal.SIGKILL)
    said = began.communicate(timeout=60)[1]
    assert began.returncode != 0
    assert sum("another rank of this run is gone" in line for line in said.splitlines()) <= 1, said
    assert not read_json(run / "run.json")["finished"]
    assert second[:5] == third[:5] == ["torchrun", "--nproc_per_node", "2", "-m", "polychromic"]
    processes.two_ranks("-m", *words(second)[4:])
    facts = read_json(run / "run.json")
    assert facts["finished"]
    assert facts["ranks"] == 2
    assert facts["resumed_from"]
    small = ["--max-prompts", "4", "--n", "2", "--max-new-tokens", "8", "--encoder", "hashing"]
    options = [word.replace("runs/", f"{tmp_path}/") for word in third[5:]]
    given = " ".join(options).replace("base=Qwen/Qwen3-8B", "base=embedded:countdown-early").split()
    task = given.index("--task")
    given[task + 1 : given.index("--out")] = ["countdown"]
    for (out, err), last in zip(processes.two_ranks("-m", "polychromic", *given, *small), (True, False), strict=True):
        assert ("report: " in out) is last, err
