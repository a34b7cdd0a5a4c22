"""The array script of ``launch --backend slurm``, run by a shell with stand-ins: there is no SLURM here."""

import json
import os
import subprocess

import pytest
from click.testing import CliRunner

from polychromic.cli import commands
from polychromic.core.errors import InputError
from polychromic.project import slurm

TEXT = "experiment: {{name: {name}, output_root: {root}}}\nmodel: {{name_or_path: m}}\ndata: {{train_file: a}}\n"
SRUN = (
    '#!/bin/bash\n[ "$1" != --kill-on-bad-exit=1 ] || shift\nSLURM_PROCID=3 SLURM_LOCALID=1 SLURM_NTASKS=4 exec "$@"\n'
)
SCONTROL = '#!/bin/bash\n[ "$1" != show ] || { echo first; echo second; exit; }\necho "$@" > "$SEEN/scontrol"\n'
PYTHON = """#!/bin/bash
echo "$@" > "$SEEN/run"
echo "$RANK $LOCAL_RANK $WORLD_SIZE $MASTER_ADDR $MASTER_PORT" > "$SEEN/place"
exit $STATUS
"""


@pytest.fixture
def configs(tmp_path):
    paths = []
    for name in ("a", "b"):
        path = tmp_path / f"{name} it.yaml"
        path.write_text(TEXT.format(name=name, root=tmp_path / "runs"))
        paths.append(str(path))
    return paths


def run(script, tmp_path, task, status):
    """A task of the array, as SLURM starts it: its exit status and what the stand-ins were called with."""
    programs = tmp_path / "bin"
    programs.mkdir(exist_ok=True)
    for name, text in (("srun", SRUN), ("scontrol", SCONTROL), ("python", PYTHON)):
        (programs / name).write_text(text)
        (programs / name).chmod(0o755)
    told = {"SLURM_ARRAY_TASK_ID": str(task), "SLURM_ARRAY_JOB_ID": "7", "SLURM_JOB_ID": "20011"}
    told |= {"SEEN": str(tmp_path), "STATUS": str(status)}
    environment = os.environ | told | {"PATH": f"{programs}:{os.environ['PATH']}"}
    return subprocess.run(["bash", script], env=environment, capture_output=True, text=True, timeout=60).returncode


def test_each_task_trains_its_configuration_and_a_stopped_one_is_queued_again(configs, tmp_path, monkeypatch):
    monkeypatch.setattr(slurm.sys, "executable", str(tmp_path / "bin" / "python"))
    planned = slurm.array(configs, ["lora.r=4"], 2, ["time=01:00:00", "nodes=2"])
    assert not planned.path.exists()
    planned.path.parent.mkdir()
    planned.path.write_text(planned.text)
    head = [line for line in planned.text.splitlines() if line.startswith("#SBATCH")]
    for wanted in ("array=0-1", "ntasks-per-node=2", "gres=gpu:2", "time=01:00:00", "nodes=2", "requeue"):
        assert f"#SBATCH --{wanted}" in head
    assert run(planned.path, tmp_path, 1, 0) == 0
    assert (tmp_path / "run").read_text() == f"-m polychromic train {configs[1]} lora.r=4\n"
    assert (tmp_path / "place").read_text() == "3 1 4 first 20011\n"
    assert not (tmp_path / "scontrol").exists()
    assert run(planned.path, tmp_path, 0, 143) == 143
    assert (tmp_path / "scontrol").read_text() == "requeue 7_0\n"
    assert configs[0] in (tmp_path / "run").read_text()
    planned.path.write_text(slurm.array(configs, [], 1, []).text)
    assert run(planned.path, tmp_path, 0, 2) == 2
    assert (tmp_path / "place").read_text().split() == []  # one process is no group


def test_the_verb_writes_the_script_and_says_that_nobody_queues_it_here(configs, tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    done = CliRunner().invoke(commands, ["launch", "--backend", "slurm", *configs, "--json"])
    assert done.exit_code == 0, done.output
    found = json.loads(done.stdout)
    assert found["queued"] == ""
    script = tmp_path / "runs" / "polychromic.sbatch"
    assert found["script"] == str(script)
    assert "-m polychromic train" in script.read_text()
    said = CliRunner().invoke(commands, ["launch", "--backend", "slurm", *configs]).output
    assert f"no sbatch here; where there is: sbatch {script}" in said
    shown = CliRunner().invoke(commands, ["launch", "--backend", "slurm", "--dry-run", *configs]).output
    assert "#SBATCH --array=0-1" in shown


def test_what_is_no_option_of_sbatch_is_refused(configs):
    with pytest.raises(InputError, match="no NAME=VALUE of sbatch"):
        slurm.array(configs, [], 1, ["time=1\n#SBATCH --wrap=rm"])
