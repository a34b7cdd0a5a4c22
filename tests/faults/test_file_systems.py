"""A real file system, full and then read-only: one line each, and the same result when there is room."""

import json
import os
import subprocess

import pytest

from polychromic.records.artefacts import RunFolder
from polychromic.settings.load import resolved_yaml
from polychromic.stages import train
from tests import processes
from tests.faults.test_train_stage import outcome

SCRIPT = """
import ctypes, json, shutil, subprocess, sys
from polychromic.__main__ import run

config, root, copy = sys.argv[1:]
assert ctypes.CDLL(None).unshare(0x00020000) == 0  # a mount table of its own, gone with this process
mount = lambda *options: subprocess.run(["mount", *options, root], check=True)
subprocess.run(["mount", "--make-rprivate", "/"], check=True)
mount("-t", "tmpfs", "-o", "size=250k", "tmpfs")
found = [run(["train", config], debug=False)]
mount("-o", "remount,size=100m,ro")
found.append(run(["train", config], debug=False))
mount("-o", "remount,rw")
found.append(run(["train", config], debug=False))
shutil.copytree(root, copy)
print(json.dumps(found))
"""
MOUNTS = os.geteuid() == 0 and subprocess.run(["unshare", "-m", "true"], capture_output=True).returncode == 0


@pytest.mark.skipif(not MOUNTS, reason="mounting takes root and a mount namespace")
def test_a_small_disk_that_is_full_then_read_only_then_large_enough(settings_of, tmp_path):
    settings = settings_of("mounted")
    small = settings.experiment.model_copy(update={"output_root": str(tmp_path / "small")})
    (tmp_path / "a.yaml").write_text(resolved_yaml(settings.model_copy(update={"experiment": small})))
    (tmp_path / "mounted.py").write_text(SCRIPT)
    (tmp_path / "small").mkdir()
    paths = (tmp_path / "a.yaml", tmp_path / "small", tmp_path / "copy")
    done = processes.run(tmp_path / "mounted.py", *paths, environment=dict(os.environ))
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout.splitlines()[-1]) == [1, 2, 0], done.stderr
    assert "no space left on the disk, or in its quota; what was saved before is whole" in done.stderr
    assert "read-only file system" in done.stderr
    assert "unexpected" not in done.stderr
    assert outcome(RunFolder(tmp_path / "copy" / "mounted")) == outcome(train.run(settings))
