"""Python programs for the tests, forked from one process that has imported the heavy libraries once.

Importing torch, transformers, peft and trl takes five processor seconds, which dozens of short programs would pay
again. Whether the program starts by itself is tested where it is run as a person runs it: tests/cli, and
tests/journeys/test_scripts.py.
"""

from __future__ import annotations

import gc
import multiprocessing
import os
import runpy
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path

HEAVY = (
    "trl",
    "transformers.models.qwen3.modeling_qwen3",
    "torch.distributed",
    "scipy.stats",
    "matplotlib.figure",
    "matplotlib.backends.backend_svg",
    "polychromic.training.trainer",
    "polychromic.certificate.trainer",
    "polychromic.stages.train",
    "polychromic.stages.pipeline",
    "polychromic.reporting.page",
)
_forks = multiprocessing.get_context("forkserver")
_forks.set_forkserver_preload(list(HEAVY))


class Program:
    """``python ARGUMENTS`` (a script or ``-m module``, then its arguments), with what is used of a Popen."""

    def __init__(self, *arguments: object, environment: dict[str, str], folder: str | Path | None = None) -> None:
        self._said = [tempfile.TemporaryFile("w+", encoding="utf-8") for _ in range(2)]  # noqa: SIM115
        streams = [_forks.reducer.DupFd(file.fileno()) for file in self._said]
        given = [str(argument) for argument in arguments]
        self._process = _forks.Process(target=_become, args=(given, environment, str(folder or os.getcwd()), streams))
        self._process.start()

    @property
    def returncode(self) -> int | None:
        """The exit status, negative for a signal; None while it runs."""
        return self._process.exitcode

    poll = returncode.fget

    def send_signal(self, number: int) -> None:
        os.kill(self._process.pid, number)

    def kill(self) -> None:
        self._process.kill()

    def first_line(self, timeout: float = 120) -> str:
        """The first line that it printed, as soon as it is there; raises TimeoutExpired, also for one that ended."""
        end = time.monotonic() + timeout
        while b"\n" not in (said := os.pread(self._said[0].fileno(), 10_000, 0)):
            if self.poll() is not None or time.monotonic() > end:
                raise subprocess.TimeoutExpired("python", timeout, said)
            time.sleep(0.05)
        return said.decode().partition("\n")[0]

    def communicate(self, timeout: float | None = None) -> tuple[str, str]:
        """What it said to its end on both streams; raises TimeoutExpired."""
        self._process.join(timeout)
        if self._process.exitcode is None:
            raise subprocess.TimeoutExpired("python", timeout or 0)
        texts = []
        for file in self._said:
            file.seek(0)
            texts.append(file.read())
            file.close()
        return texts[0], texts[1]


def run(*arguments: object, environment: dict[str, str], folder: str | Path | None = None, timeout: float = 400):
    """The finished program: ``returncode``, ``stdout``, ``stderr``."""
    program = Program(*arguments, environment=environment, folder=folder)
    try:
        said = program.communicate(timeout)
    except subprocess.TimeoutExpired:
        program.kill()
        raise
    return subprocess.CompletedProcess(list(map(str, arguments)), program.returncode, *said)


@contextmanager
def ranks(*arguments: object, count: int = 2, **environment: str):
    """``count`` programs with these arguments, started as torchrun starts them; whoever is left is killed.

    The store in which they meet is this process's, as it is that of torchrun's agent.
    """
    from torch.distributed import TCPStore

    store = TCPStore("127.0.0.1", 0, is_master=True, wait_for_workers=False)
    place = {
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(store.port),
        "WORLD_SIZE": str(count),
        "LOCAL_WORLD_SIZE": str(count),
        "TORCHELASTIC_USE_AGENT_STORE": "True",
    } | environment
    each = [os.environ | place | {"RANK": str(rank), "LOCAL_RANK": str(rank)} for rank in range(count)]
    started = [Program(*arguments, environment=place) for place in each]
    try:
        yield started
    finally:
        for rank in started:
            rank.kill()


def two_ranks(*arguments: object, timeout: float = 400) -> list[tuple[str, str]]:
    """What two ranks said that both ended well."""
    with ranks(*arguments) as both:
        deadline = time.monotonic() + timeout
        while any(rank.poll() is None for rank in both) and time.monotonic() < deadline:
            if any(rank.poll() for rank in both):  # one that failed may leave the other waiting
                break
            time.sleep(0.05)
    said = [rank.communicate() for rank in both]
    assert [rank.returncode for rank in both] == [0, 0], said
    return said


def _become(arguments, environment, folder, streams):
    """What a fresh interpreter would do with these arguments."""
    gc.freeze()  # what was imported is never garbage
    for number, stream in enumerate(streams, start=1):
        os.dup2(stream.detach(), number)
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell in the background has it ignored
    if arguments[0] == "-m":
        sys.argv = arguments[1:]
        runpy.run_module(arguments[1], run_name="__main__", alter_sys=True)
    else:
        sys.argv = arguments
        runpy.run_path(arguments[0], run_name="__main__")
