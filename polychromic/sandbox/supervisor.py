"""One worker process: for each program it has a candidate and a judge forked, watches the clocks, and reports.

CPU time decides, of the candidate or of the judging child, which may be choking on what the candidate returned. The
wall clock is the backstop. The descriptors 0 and 1 of the exec'd process are the line to the evaluator; when that
closes, everything here ends.
"""

from __future__ import annotations

import contextlib
import importlib
import os
import resource
import select
import signal
import socket
import subprocess
import sys
import time
from dataclasses import asdict, dataclass, field
from typing import Any

from polychromic.sandbox import confine, judge, wire
from polychromic.sandbox.nouns import Limits, Outcome
from polychromic.sandbox.zygote import END, ENDED, FORK, PID

TICK = 0.005  # seconds between two looks at a clock that is about to run out
BOOT = (
    "import sys, types\n"
    "for name, path in (('polychromic', sys.argv[1]), ('polychromic.sandbox', sys.argv[1] + '/sandbox')):\n"
    "    sys.modules[name] = module = types.ModuleType(name)\n"
    "    module.__path__ = [path]\n"
    "sys.path += sys.argv[3:]\n"
    "from polychromic.sandbox import supervisor\n"
    "supervisor.{entry}(int(sys.argv[2]))\n"
)


class ZygoteError(RuntimeError):
    """The zygote does not answer as agreed."""


def command(entry: str, descriptor: int, paths: list[str]) -> list[str]:
    """The command line of an isolated interpreter that runs ``entry`` of this module; ``paths`` for extra modules."""
    package = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    return [sys.executable, "-I", "-S", "-B", "-c", BOOT.format(entry=entry), package, str(descriptor), *paths]


@dataclass
class Zygote:
    """The supervisor's end of the control socket."""

    control: socket.socket
    layers: dict[str, str]

    @staticmethod
    def start(config: dict[str, Any]) -> Zygote:
        """A zygote that has imported its modules and is ready to fork."""
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        subprocess.Popen(
            command("zygote_main", theirs.fileno(), config["paths"]),
            env={},
            cwd="/",
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            pass_fds=(theirs.fileno(),),
        )
        theirs.close()
        ours.send(wire.encode(config))
        hello = ours.recv(4096).decode()
        if not hello:
            raise ZygoteError("the zygote did not start")
        return Zygote(ours, dict(line.split(": ", 1) for line in hello.splitlines()))

    def fork(self, channel: int) -> int:
        """The pid of a new candidate that talks over ``channel``."""
        socket.send_fds(self.control, [FORK], [channel])
        (pid,) = PID.unpack(self._answer(PID.size))
        if pid < 0:
            raise ZygoteError("the zygote cannot fork")
        return int(pid)

    def end(self) -> tuple[int, float]:
        """Kills and reaps the candidate: its wait status and CPU seconds."""
        self.control.send(END)
        status, seconds, _ = ENDED.unpack(self._answer(ENDED.size))
        return status, seconds

    def _answer(self, size: int) -> bytes:
        data = self.control.recv(size)
        if len(data) != size:
            raise ZygoteError("the zygote died")
        return data


@dataclass
class Run:
    """One program under judgement."""

    candidate: int
    judge: int
    verdict: int
    started: float = field(default_factory=time.monotonic)
    rows: list[Any] = field(default_factory=list)

    def wait(self, limits: Limits, line: int) -> tuple[Outcome, str] | None:
        """Collects the judge's rows until it is done, or says which clock ran out."""
        poll = select.poll()
        poll.register(self.verdict, select.POLLIN)
        poll.register(line, 0)  # only whether the evaluator hung up
        while True:
            for descriptor, event in poll.poll(1000 * self._pause(limits)):
                if descriptor == line and event:
                    sys.exit(0)
                try:
                    self.rows.append(wire.decode(wire.receive(self.verdict, 2**30)))
                except wire.GoneError:
                    return None
            if over := self._over(limits):
                return over

    def _pause(self, limits: Limits) -> float:
        """Seconds before any clock can have run out: a single thread's CPU clock is never faster than the wall's."""
        spent = max(cpu_clock(self.candidate), cpu_clock(self.judge))
        return max(TICK, min(limits.cpu_seconds - spent, limits.wall - (time.monotonic() - self.started)))

    def _over(self, limits: Limits) -> tuple[Outcome, str] | None:
        if cpu_clock(self.candidate) > limits.cpu_seconds:
            return Outcome.TIMEOUT_CPU, f"more than {limits.cpu_seconds:g} s of CPU time"
        if cpu_clock(self.judge) > limits.cpu_seconds:
            return Outcome.TIMEOUT_CPU, f"more than {limits.cpu_seconds:g} s of CPU time in the tests"
        if time.monotonic() - self.started > limits.wall:
            return Outcome.TIMEOUT_WALL, f"more than {limits.wall:g} s of wall time"
        return None


def cpu_clock(pid: int) -> float:
    """CPU seconds that process ``pid`` has used, 0.0 when it is gone (the kernel's clock id for a foreign process)."""
    try:
        return time.clock_gettime((~pid << 3) | 2)
    except OSError:
        return 0.0


def run(job: dict[str, Any], zygote: Zygote, limits: Limits, line: int) -> dict[str, Any]:
    """Outcome, detail, outputs and seconds of one program.

    Raises:
        ZygoteError: the sandbox itself failed.
    """
    ours, theirs = socket.socketpair()
    reader, writer = os.pipe()
    try:
        pid = zygote.fork(theirs.fileno())
        theirs.close()
        child = _fork_judge(job, (ours.fileno(), writer), limits, (reader, line, zygote.control.fileno()))
        ours.close()
        os.close(writer)
        state = Run(pid, child, reader)
        over = state.wait(limits, line)
        with contextlib.suppress(ProcessLookupError):
            os.kill(child, signal.SIGKILL)
        _, judge_status = os.waitpid(child, 0)
        status, seconds = zygote.end()
    finally:
        ours.close()
        theirs.close()
        os.close(reader)
    return _result(state.rows, over, (status, judge_status), job) | {"seconds": seconds}


def _fork_judge(job: dict[str, Any], ends: tuple[int, int], limits: Limits, foreign: tuple[int, ...]) -> int:
    pid = os.fork()
    if pid == 0:
        try:
            for descriptor in foreign:
                os.close(descriptor)
            os.dup2(0, 2)
            confine.limit_resource(resource.RLIMIT_AS, limits.memory_bytes + confine.own_address_space())
            confine.limit_resource(resource.RLIMIT_CORE, 0)
            confine.limit_resource(resource.RLIMIT_CPU, int(limits.cpu_seconds) + 2)
            judge.main(job, *ends, limits)
        finally:
            os._exit(1)
    return pid


def _result(
    rows: list[Any], over: tuple[Outcome, str] | None, statuses: tuple[int, int], job: dict[str, Any]
) -> dict[str, Any]:
    status, judge_status = statuses
    outputs = None
    if not rows:
        if over is None:
            over = Outcome.MEMORY, f"the tests ended by {_ending(judge_status)}, on data the program returned"
        outcome, detail = over
    else:
        outcome, detail = rows[0]
        if outcome == judge.BROKEN:
            raise ZygoteError(detail)
    if outcome == Outcome.KILLED:
        outcome, detail = (Outcome.EXITED if os.WIFEXITED(status) else Outcome.KILLED), _ending(status)
        if os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGXCPU:
            outcome = Outcome.TIMEOUT_CPU
    if job["inputs"] is not None:
        known = rows[1:]
        outputs = (*known, *[f"!{over[0] if over else outcome}"] * (len(job["inputs"]) - len(known)))
    return {"outcome": str(outcome), "detail": detail, "outputs": outputs}


def _ending(status: int) -> str:
    if os.WIFSIGNALED(status):
        return f"signal {signal.Signals(os.WTERMSIG(status)).name}"
    return f"exit status {os.WEXITSTATUS(status)}"


def limits_from(config: dict[str, Any]) -> Limits:
    """The limits that were sent as plain data."""
    return Limits(**config["limits"])


def config_of(limits: Limits, paths: list[str], unsafe: str) -> dict[str, Any]:
    """What a worker has to know, as plain data."""
    return {"limits": asdict(limits), "paths": paths, "unsafe": unsafe}


def zygote_main(descriptor: int) -> None:
    """Entry point of the zygote process."""
    from polychromic.sandbox import zygote

    control = os.dup(descriptor)
    with socket.socket(fileno=descriptor) as first:
        config = wire.decode(first.recv(2**16))
    zygote.run(control, limits_from(config), config["unsafe"])


def main(_: int) -> None:
    """Entry point of the worker process: one configuration, then one program after another."""
    line, out = os.dup(0), os.dup(1)
    null = os.open(os.devnull, os.O_RDWR)
    os.dup2(null, 0)
    os.dup2(null, 1)
    config = wire.decode(wire.receive(line, 2**20))
    limits = limits_from(config)
    try:
        zygote = Zygote.start(config)
        for name in limits.modules:
            importlib.import_module(name)
    except (ZygoteError, OSError, ImportError) as error:
        sys.exit(f"{type(error).__name__}: {error}")
    wire.send(out, wire.encode({"layers": zygote.layers}))
    with contextlib.suppress(wire.GoneError):
        while True:
            job = wire.decode(wire.receive(line, 2**30))
            try:
                reply = run(job, zygote, limits, line)
            except (ZygoteError, OSError) as error:
                reply = {"outcome": judge.BROKEN, "detail": str(error)}
            wire.send(out, wire.encode(reply))
    os._exit(0)
