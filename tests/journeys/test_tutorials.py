"""The tutorials do as they say: every block is written or run as it is printed."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from tests import processes

PAGE = Path(__file__).parents[2] / "docs" / "tutorials.md"
BLOCK = re.compile(r'```(?:(?P<shell>bash)|python title="(?P<file>[^"]+)")\n(?P<text>.*?)```', re.S)
SMALL = {"Qwen/Qwen3-8B": "embedded:countdown", "h100": "cpu"}
WHOLE = PAGE.read_text()
FILES = {block["file"]: block["text"] for block in BLOCK.finditer(WHOLE) if block["file"]}
LEFT = {
    "Your own data, on a laptop": "runs/first/evaluation/report.html",
    "Qwen3-8B on a rented GPU": "pod/configs/diverse.yaml",
    "A judge of your own": "runs/own/diverse/adapter_model.safetensors",
}


@pytest.mark.parametrize("title", LEFT)
def test_a_tutorial_runs_as_printed(title, environment, tmp_path):
    section = WHOLE.split(f"\n## {title}\n")[1].split("\n## ")[0]
    for name, text in FILES.items():
        (tmp_path / name).write_text(text)
    for block in BLOCK.finditer(section):
        for line in (block["text"] if block["shell"] else "").splitlines():
            for theirs, ours in SMALL.items():
                line = line.replace(theirs, ours)
            program, *words = shlex.split(line)
            given = words if program == "python" else ["-m", program, *words]
            done = processes.run(*given, environment=environment, folder=tmp_path)
            assert done.returncode == 0, f"{line}\n{done.stderr}"
    assert (tmp_path / LEFT[title]).exists()


def test_every_tutorial_is_tried():
    assert re.findall(r"^## (.*)", WHOLE, re.M) == list(LEFT)
