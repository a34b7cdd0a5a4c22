"""Training runs in tmux: one session for each GPU, or one after another; without tmux in the foreground."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from polychromic.core import stopping
from polychromic.core.errors import InputError, MissingResourceError
from polychromic.settings.load import load_settings

STOPPED = "129|130|138|143"
"""Exit statuses of what was asked to stop by SIGHUP, SIGINT, SIGUSR1 or SIGTERM."""
FAILED = f"{{ rc=$?; case $rc in {STOPPED}) exit $rc;; esac; }}"
"""A run that fails does not keep the next from starting; one that was asked to stop does."""
HEARD = "trap : HUP INT TERM USR1"
"""A shell that outlives the signal and waits for its run, which saves."""
LEADS = "trap : INT TERM USR1"
"""The leader of a tmux session, which alone is told that the terminal is gone: its death tells all the others."""
DEAF = "trap '' HUP INT TERM USR1"
"""The log is written to the end: a run whose output nobody takes dies before it has saved."""


@dataclass(frozen=True, slots=True)
class Job:
    """One session: its name, the shell command it runs and the log that keeps what it says."""

    session: str
    command: str
    log: Path


def jobs(configs: Sequence[str], overrides: Sequence[str] = (), gpus: Sequence[str] = ()) -> list[Job]:
    """The sessions that train ``configs``: one a GPU (round robin) when ``gpus`` are given, else a single one.

    Every configuration is loaded first, so that a wrong one stops all of them before any starts.

    Raises:
        SettingsError: a configuration or an override is wrong.
        InputError: two runs have the same folder.
    """
    runs = run_folders(configs, overrides)
    lanes: dict[str, list[Path]] = {}
    for index, folder in enumerate(runs):
        lanes.setdefault(gpus[index % len(gpus)] if gpus else "", []).append(folder)
    return [_job(gpu, {folder: runs[folder] for folder in folders}, overrides) for gpu, folders in lanes.items()]


def run_folders(configs: Sequence[str], overrides: Sequence[str] = ()) -> dict[Path, str]:
    """The configurations by the folder that each trains into, all of them loaded; raises what ``jobs`` raises."""
    runs: dict[Path, str] = {}
    for config in configs:
        experiment = load_settings(config, overrides).experiment
        folder = Path(experiment.output_root) / experiment.name
        if folder in runs:
            raise InputError(f"{config} and {runs[folder]} both train into {folder}; give them different names")
        runs[folder] = config
    if not runs:
        raise InputError("there is no configuration to launch")
    return runs


def when_done(planned: Sequence[Job], command: str) -> list[Job]:
    """The jobs, the last of which to end runs ``command`` in a shell, also after runs that failed.

    Not after one that was asked to stop: whoever did that is there. What it says goes into that job's log.
    """
    marks = [job.log.with_suffix(".ended") for job in planned]
    for mark in marks:
        mark.unlink(missing_ok=True)
    if marks:
        with suppress(OSError):
            _once(marks).rmdir()
    return [
        replace(job, command=f"{job.command}; {_last(job, mark, marks, command)}")
        for job, mark in zip(planned, marks, strict=True)
    ]


def _once(marks: Sequence[Path]) -> Path:
    return marks[0].with_suffix(".done")


def _last(job: Job, mark: Path, marks: Sequence[Path], command: str) -> str:
    """The shell's words for it: two that end together make one folder, and the one that makes it goes on."""
    ended = " && ".join(f"[ -e {shlex.quote(str(each))} ]" for each in marks)
    alone = f"mkdir {shlex.quote(str(_once(marks)))} 2>/dev/null"
    done = f"{{ {command}\n}} >> {shlex.quote(str(job.log))} 2>&1"
    whole = f": > {shlex.quote(str(mark))}; if {ended} && {alone}; then {done}; fi"
    return f"rc=$?; case $rc in {STOPPED}) ;; *) {whole} ;; esac; exit $rc"


def start(job: Job) -> int:
    """Runs the job in a detached tmux session, or here and now where there is no tmux; the exit status.

    Raises:
        InputError: a session of that name is running.
    """
    job.log.parent.mkdir(parents=True, exist_ok=True)
    if not has_tmux():
        return _here(job.command)
    if (
        subprocess.run(["tmux", "has-session", "-t", f"={job.session}"], capture_output=True, check=False).returncode
        == 0
    ):
        raise InputError(f"the tmux session {job.session} is running; look with: tmux attach -t {job.session}")
    begun = ["tmux", "new-session", "-d", "-s", job.session, "-c", os.getcwd(), "bash", "-c", job.command]
    done = subprocess.run(begun, capture_output=True, text=True, check=False)
    if done.returncode:
        raise MissingResourceError(f"tmux cannot start a session: {done.stderr.strip()}")
    return 0


def _here(command: str) -> int:
    """The command's status; signals are passed on to its processes, and waited for."""
    lane = subprocess.Popen(["bash", "-c", command.replace(LEADS, HEARD)], start_new_session=True)
    with stopping.listening():
        while True:
            try:
                return lane.wait()
            except stopping.StopNow as asked:
                os.killpg(lane.pid, asked.number)


def has_tmux() -> bool:
    """Whether sessions can be made here."""
    return shutil.which("tmux") is not None


def _job(gpu: str, runs: dict[Path, str], overrides: Sequence[str]) -> Job:
    first = next(iter(runs))
    name = first.name if len(runs) == 1 else f"{first.name}-and-{len(runs) - 1}-more"
    log = first.parent / f"{name}.log"
    commands = [[sys.executable, "-m", "polychromic", "train", config, *overrides] for config in runs.values()]
    device = f"export CUDA_VISIBLE_DEVICES={shlex.quote(gpu)}; " if gpu else ""
    train = " ".join(f"{shlex.join(command)} || {FAILED};" for command in commands)
    written = f"({DEAF}; exec tee -a {shlex.quote(str(log))})"
    command = f"{device}set -o pipefail; {LEADS}; {{ {HEARD}; rc=0; {train} exit $rc; }} 2>&1 | {written}"
    return Job(f"polychromic-{name.replace('.', '_')}", command, log)
