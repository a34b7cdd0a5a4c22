"""The supervisor's handles on its two children: the zygote that forks candidates, and the judge."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
from dataclasses import dataclass
from typing import Any

from polychromic.sandbox import boot, confine, frames, judge, wire
from polychromic.sandbox.endings import BrokenError
from polychromic.sandbox.nouns import Limits
from polychromic.sandbox.syscalls import JUDGING
from polychromic.sandbox.zygote import END, ENDED, FORK, PID

# Symbols are looked up once, not in every child; a thread brings no heap of its own; cleared before the first fork.
ENVIRONMENT = {"LD_BIND_NOW": "1", "MALLOC_ARENA_MAX": "1", "OPENBLAS_NUM_THREADS": "1"}
JUDGE_CPU = 10**6  # seconds: the supervisor keeps a judge's clock


@dataclass
class Zygote:
    """The supervisor's end of the control socket of one of the zygotes."""

    control: socket.socket
    layers: dict[str, str]

    @staticmethod
    def start(config: dict[str, Any], size: str) -> Zygote:
        """A zygote of a ``size`` that has imported its modules and is ready to fork.

        Raises:
            BrokenError: it does not come up; its standard error says why.
        """
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        subprocess.Popen(
            boot.command("zygote", theirs.fileno(), config["paths"]),
            env=ENVIRONMENT,
            cwd="/",
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            pass_fds=(theirs.fileno(),),
        )
        theirs.close()
        ours.send(wire.encode(config | {"size": size}))
        hello = ours.recv(4096).decode()
        if not hello:
            raise BrokenError("the zygote did not start")
        return Zygote(ours, dict(line.split(": ", 1) for line in hello.splitlines()))

    def fork(self, channel: int, limits: Limits) -> int:
        """The pid of a new candidate that talks over ``channel``."""
        socket.send_fds(self.control, [FORK.pack(limits.cpu_seconds, limits.memory_bytes)], [channel])
        (pid,) = PID.unpack(self._answer(PID.size))
        if pid < 0:
            raise BrokenError("the zygote cannot fork")
        return int(pid)

    def end(self) -> tuple[int, float]:
        """Kills and reaps the candidate: its wait status and CPU seconds."""
        self.control.send(END)
        status, seconds, _ = ENDED.unpack(self._answer(ENDED.size))
        return status, seconds

    def _answer(self, size: int) -> bytes:
        data = self.control.recv(size)
        if len(data) != size:
            raise BrokenError("the zygote died")
        return data


class Judge:
    """A forked process that judges one program after another, until it is replaced.

    It runs no code of the programs, only tests, each in a fresh namespace, and is confined as a program is, because
    tests may come from anywhere. It is replaced after every run that did not end cleanly, because what a program
    returned may have hurt it, and after ``RUNS`` runs in any case.
    """

    RUNS = 500

    def __init__(self, limits: Limits, unsafe: str) -> None:
        ours, theirs = socket.socketpair()
        supervisor = os.getpid()
        self.memory = judging_memory(limits)
        self.runs = 0
        self.line = ours
        self.pid = os.fork()
        if self.pid == 0:
            try:
                os.dup2(0, 2)
                plan = confine.plan(unsafe, JUDGING)
                confine.apply(plan, theirs.fileno(), supervisor, (JUDGE_CPU, self.memory))
                judge.serve(confine.CHANNEL)
            finally:
                os._exit(1)
        theirs.close()

    def fits(self, limits: Limits) -> bool:
        """Whether it may judge a program under these limits."""
        return self.runs < self.RUNS and self.memory == judging_memory(limits)

    def submit(self, job: bytes, channel: int) -> None:
        """Hands over an encoded program and the judge's end of the channel to it."""
        self.runs += 1
        try:
            socket.send_fds(self.line, [b"j"], [channel])
            frames.send(self.line.fileno(), job)
        except OSError as error:
            raise BrokenError("the judge died") from error

    def close(self) -> str:
        """Ends the process; how it ended, in words."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGKILL)
        self.line.close()
        return ending(os.waitpid(self.pid, 0)[1])


def judging_memory(limits: Limits) -> int:
    """Bytes of address space for looking at answers; a list of small numbers takes five times its encoding."""
    return max(limits.memory_bytes, 16 * limits.output_bytes)


def ending(status: int) -> str:
    """A wait status in words."""
    if os.WIFSIGNALED(status):
        return f"signal {signal.Signals(os.WTERMSIG(status)).name}"
    return f"exit status {os.WEXITSTATUS(status)}"
