"""Two processes, one lock: the second is told who holds it; a dead one holds nothing."""

from __future__ import annotations

import os
import re
import subprocess
import sys

import pytest

from polychromic.core.errors import InputError
from polychromic.records.jsonl import AppendLog
from polychromic.records.locks import only_process

HOLDER = """
import sys
from pathlib import Path
from polychromic.records.jsonl import AppendLog
from polychromic.records.locks import only_process
with only_process(Path(sys.argv[1])), AppendLog(Path(sys.argv[1]) / "log.jsonl"):
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def holder(tmp_path):
    """Another process that trains into the folder and writes its log."""
    pipe = subprocess.PIPE
    process = subprocess.Popen([sys.executable, "-c", HOLDER, str(tmp_path)], stdin=pipe, stdout=pipe, text=True)
    assert process.stdout.readline() == "held\n"
    yield process
    process.kill()
    process.communicate()


def test_the_second_process_is_told_who_the_first_is(tmp_path, holder):
    who = re.escape(f"another process (pid {holder.pid}) is ")
    for _ in range(2):  # being refused changes nothing
        with pytest.raises(InputError, match=who + "training into this folder; wait"), only_process(tmp_path):
            pass
        with pytest.raises(InputError, match=rf"log\.jsonl: {who}writing this file; wait"):
            AppendLog(tmp_path / "log.jsonl")


def test_a_killed_process_holds_nothing(tmp_path, holder):
    holder.kill()
    holder.wait()
    with only_process(tmp_path), AppendLog(tmp_path / "log.jsonl") as log:
        log.append([{"a": 1}])
    assert (tmp_path / ".lock").read_text() == str(os.getpid())


def test_one_process_may_not_do_it_twice_either(tmp_path):
    with only_process(tmp_path), pytest.raises(InputError, match="another process"), only_process(tmp_path):
        pass
    with AppendLog(tmp_path / "log.jsonl"), pytest.raises(InputError, match="another process"):
        AppendLog(tmp_path / "log.jsonl")
    with only_process(tmp_path):
        AppendLog(tmp_path / "log.jsonl").close()


def test_a_folder_may_be_called_anything(tmp_path):
    odd = tmp_path / "{a}{0"
    with only_process(odd), pytest.raises(InputError, match=re.escape(str(odd))), only_process(odd):
        pass
