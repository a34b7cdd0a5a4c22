"""Training runs on a cluster: one SLURM array script, a task for each configuration.

There is no SLURM where this is tested: a shell runs the script there, with stand-ins for ``srun`` and ``scontrol``.
"""

from __future__ import annotations

import shlex
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from polychromic.core.errors import InputError, MissingResourceError
from polychromic.project.launch import run_folders

NOTICE_SECONDS = 180
"""Before the time limit a run is asked to stop, which saves a checkpoint."""
STOPPED = "138|143"
"""Exit statuses of a run that was asked to stop by SIGUSR1 or SIGTERM: it is queued again and continues."""

RANKS = (
    'export MASTER_ADDR=$(scontrol show hostnames "$SLURM_JOB_NODELIST" | head -n 1)',
    "export MASTER_PORT=$((20000 + SLURM_JOB_ID % 20000))",
    "place='export RANK=$SLURM_PROCID LOCAL_RANK=$SLURM_LOCALID WORLD_SIZE=$SLURM_NTASKS; exec \"$@\"'",
    'srun --kill-on-bad-exit=1 bash -c "$place" rank "${run[@]}"',
)
"""What torchrun would tell the ranks, told by SLURM: a process a GPU, on one machine or more with one disk."""


@dataclass(frozen=True, slots=True)
class Array:
    """The script, its text, and the log of each task (``%a`` is the task's number)."""

    path: Path
    text: str
    log: Path


def array(configs: Sequence[str], overrides: Sequence[str], ranks: int, options: Sequence[str]) -> Array:
    """The script that trains ``configs``, each in a task of ``ranks`` GPUs a machine.

    ``options`` are sbatch's own, as ``time=24:00:00`` or ``nodes=2``, and have the last word.

    Every configuration is loaded first, so that a wrong one stops all of them before any is queued.

    Raises:
        SettingsError: a configuration or an override is wrong.
        InputError: two runs have the same folder, or an option is none of sbatch's form.
    """
    for option in options:
        name = option.partition("=")[0]
        if not name.replace("-", "").isalnum() or any(sign in option for sign in "\n\r"):
            raise InputError(f"--sbatch: {option!r} is no NAME=VALUE of sbatch, such as time=24:00:00")
    folders = run_folders(configs, overrides)
    root = next(iter(folders)).parent
    log = root / "slurm-%A_%a.log"
    runs = [[sys.executable, "-m", "polychromic", "train", config, *overrides] for config in folders.values()]
    chosen = {
        "job-name": "polychromic",
        "array": f"0-{len(runs) - 1}",
        "nodes": "1",
        "ntasks-per-node": str(ranks),
        "gres": f"gpu:{ranks}",
        "output": str(log),
        "open-mode": "append",
        "signal": f"TERM@{NOTICE_SECONDS}",
        "requeue": "",
    } | {name: value for name, _, value in (option.partition("=") for option in options)}
    several = ranks > 1 or chosen["nodes"] != "1"
    body = [
        f"cd {shlex.quote(str(Path.cwd()))} || exit 1",
        'case "$SLURM_ARRAY_TASK_ID" in',
        *(f"  {place}) run=({shlex.join(run)}) ;;" for place, run in enumerate(runs)),
        "esac",
        *(RANKS if several else ('srun "${run[@]}"',)),
        "status=$?",
        f'case $status in {STOPPED}) scontrol requeue "${{SLURM_ARRAY_JOB_ID}}_${{SLURM_ARRAY_TASK_ID}}" ;; esac',
        "exit $status",
    ]
    head = [f"#SBATCH --{name}" + (f"={value}" if value else "") for name, value in chosen.items()]
    return Array(root / "polychromic.sbatch", "\n".join(["#!/bin/bash", *head, "", *body, ""]), log)


def submit(planned: Array) -> str:
    """Writes the script and queues it; what sbatch said, empty where there is none.

    Raises:
        MissingResourceError: sbatch refuses the script.
    """
    planned.path.parent.mkdir(parents=True, exist_ok=True)
    planned.path.write_text(planned.text, encoding="utf-8")
    if shutil.which("sbatch") is None:
        return ""
    done = subprocess.run(["sbatch", str(planned.path)], capture_output=True, text=True, check=False)
    if done.returncode:
        raise MissingResourceError(f"sbatch refuses {planned.path}: {done.stderr.strip()}")
    return done.stdout.strip()
