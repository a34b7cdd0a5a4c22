"""One worker process: for each program it has a candidate forked and judged, watches the clocks, and reports.

CPU time decides, of the candidate or of the judge, which may be choking on what the candidate returned. The wall
clock is the backstop. The descriptors 0 and 1 of the exec'd process are the line to the evaluator; when that closes,
everything here ends.
"""

from __future__ import annotations

import contextlib
import gc
import marshal
import os
import select
import signal
import socket
import sys
import time
from dataclasses import dataclass, field
from typing import Any

from polychromic.sandbox import boot, frames, judge, stdlib, wire
from polychromic.sandbox.children import Judge, Zygote, ending
from polychromic.sandbox.endings import ELSEWHERE, BrokenError
from polychromic.sandbox.nouns import CROWDED, Limits, Outcome
from polychromic.sandbox.zygote import LARGE, SMALL

PROCESSORS = os.cpu_count() or 1
TICK = 0.005  # seconds between two looks at a clock that is about to run out
UNCLEAN = {Outcome.TIMEOUT_CPU, Outcome.TIMEOUT_WALL, Outcome.MEMORY}  # after these the judge is replaced


@dataclass
class Run:
    """One program under judgement: the clocks of its candidate (a pid) and of the judge that looks at it."""

    candidate: int
    judge: Judge
    limits: Limits
    started: float = field(default_factory=time.monotonic)
    rows: list[Any] = field(default_factory=list)
    before: float = 0.0
    queued_before: float = 0.0

    def wait(self, line: int) -> tuple[Outcome, str] | None:
        """Collects the judge's rows until it is done or gone, or says which clock ran out."""
        verdict = self.judge.line.fileno()
        poll = select.poll()
        poll.register(verdict, select.POLLIN)
        poll.register(line, 0)  # only whether the evaluator hung up
        while True:
            for descriptor, _ in poll.poll(1000 * self._pause()):
                if descriptor == line:
                    os._exit(0)
                try:
                    rows = wire.decode(frames.receive(verdict, 2**30))
                except frames.GoneError:
                    return None
                if rows is None:
                    return None
                self.rows += rows
            if over := self._over():
                return over

    def _clocks(self) -> tuple[float, float, float]:
        """CPU seconds of the candidate and of the judge, and wall seconds, so far."""
        spent = cpu_clock(self.judge.pid) - self.before
        return cpu_clock(self.candidate), spent, time.monotonic() - self.started

    def _awake(self, wall: float) -> float:
        """Wall seconds less those that were spent waiting for a processor: what an empty machine would have needed."""
        waited = queued(self.candidate) + queued(self.judge.pid) - self.queued_before
        return max(wall - waited, wall / CROWDED)

    def _pause(self) -> float:
        """Seconds before any clock can have run out: a CPU clock is as fast as the wall's for each processor."""
        candidate, judging, wall = self._clocks()
        left = (self.limits.cpu_seconds - max(candidate, judging)) / PROCESSORS
        return max(TICK, min(left, self.limits.wall - (wall if wall < self.limits.wall else self._awake(wall))))

    def _over(self) -> tuple[Outcome, str] | None:
        candidate, judging, wall = self._clocks()
        allowed = self.limits.cpu_seconds
        if candidate > allowed:
            return Outcome.TIMEOUT_CPU, f"more than {allowed:g} s of CPU time"
        if judging > allowed:
            return Outcome.TIMEOUT_CPU, f"more than {allowed:g} s of CPU time in the tests"
        if wall > self.limits.wall and self._awake(wall) > self.limits.wall:
            return Outcome.TIMEOUT_WALL, f"more than {self.limits.wall:g} s of wall time"
        return None


def cpu_clock(pid: int) -> float:
    """CPU seconds that process ``pid`` has used, 0.0 when it is gone (the kernel's clock id for a foreign process)."""
    try:
        return time.clock_gettime((~pid << 3) | 2)
    except OSError:
        return 0.0


def queued(pid: int) -> float:
    """Seconds that the main thread of ``pid`` has waited for a processor, 0.0 where the kernel does not tell."""
    try:
        file = os.open(f"/proc/{pid}/schedstat", os.O_RDONLY)
        try:
            return int(os.read(file, 100).split()[1]) / 1e9
        finally:
            os.close(file)
    except (OSError, IndexError, ValueError):
        return 0.0


class Supervisor:
    """A small zygote, a large one from when a program first wants it, and a judge, and one program at a time."""

    def __init__(self, config: dict[str, Any], line: int) -> None:
        self.zygotes = {SMALL: Zygote.start(config, SMALL)}
        self._config = config
        stdlib.load(boot.limits_from(config).modules)
        gc.collect()
        gc.freeze()  # what is loaded stays, here and in the judges: no collection looks at it, or copies its pages
        self._line = line
        self._judge: Judge | None = None

    def run(self, job: bytes, limits: Limits, inputs: int | None, size: str = SMALL) -> dict[str, Any]:
        """Outcome, detail, outputs (on so many inputs) and seconds of one program, forked from that zygote.

        Raises:
            BrokenError: the sandbox itself failed.
        """
        if size not in self.zygotes:
            self.zygotes[size] = Zygote.start(self._config, size)
        zygote = self.zygotes[size]
        if self._judge and not self._judge.fits(limits):
            self._end_judge()
        if self._judge is None:
            self._judge = Judge(limits, self._config["unsafe"])
        ours, theirs = socket.socketpair()
        with ours, theirs:
            candidate = zygote.fork(theirs.fileno(), limits)
            pid = self._judge.pid
            state = Run(candidate, self._judge, limits, before=cpu_clock(pid), queued_before=queued(pid))
            theirs.close()
            self._judge.submit(job, ours.fileno())
            ours.close()
            over = state.wait(self._line)
        status, seconds = zygote.end()
        if state.rows[-1:] == [ELSEWHERE] and size == SMALL:
            return self.run(job, limits, inputs, LARGE)
        if over is None and not state.rows:
            over = Outcome.MEMORY, f"the tests ended by {self._end_judge()}, on data the program returned"
        reply = _result(state.rows, over or _burnt(status, seconds, limits), status, inputs)
        reply["seconds"] = seconds
        if self._judge and (over or reply["outcome"] in UNCLEAN):
            self._end_judge()
        return reply

    def _end_judge(self) -> str:
        assert self._judge is not None
        words = self._judge.close()
        self._judge = None
        return words


def _burnt(status: int, seconds: float, limits: Limits) -> tuple[Outcome, str] | None:
    """A CPU timeout that the kernel's own limit ended, because this process was not let run in time to see it."""
    signalled = os.WIFSIGNALED(status) and os.WTERMSIG(status) in (signal.SIGXCPU, signal.SIGKILL)
    if signalled and seconds > limits.cpu_seconds:
        return Outcome.TIMEOUT_CPU, f"more than {limits.cpu_seconds:g} s of CPU time"
    return None


def _result(rows: list[Any], over: tuple[Outcome, str] | None, status: int, inputs: int | None) -> dict[str, Any]:
    """What the judge's rows, the clocks and the candidate's end amount to; the end alone is never evidence."""
    outcome, detail = rows[0] if rows else over or (judge.BROKEN, "no verdict")
    if outcome == judge.BROKEN:
        raise BrokenError(detail)
    if outcome == Outcome.KILLED:
        outcome, detail = (Outcome.EXITED if os.WIFEXITED(status) else Outcome.KILLED), ending(status)
        if over:
            outcome, detail = over
    outputs = None
    if inputs is not None:
        known = rows[1:]
        outputs = (*known, *[f"!{over[0] if over else outcome}"] * (inputs - len(known)))
    return {"outcome": str(outcome), "detail": detail, "outputs": outputs}


def start(_: int) -> None:
    """Entry point of the worker process: one configuration, then one program after another."""
    line, out = os.dup(0), os.dup(1)
    null = os.open(os.devnull, os.O_RDWR)
    os.dup2(null, 0)
    os.dup2(null, 1)
    try:
        supervisor = Supervisor(wire.decode(frames.receive(line, 2**20)), line)
    except (BrokenError, OSError, ImportError) as error:
        sys.exit(f"{type(error).__name__}: {error}")
    with contextlib.suppress(frames.GoneError):
        frames.send(out, wire.encode({"layers": supervisor.zygotes[SMALL].layers}))
        while True:
            inputs, limits, job = marshal.loads(frames.receive(line, 2**30))
            try:
                reply = supervisor.run(job, Limits(**limits), inputs)
            except (BrokenError, OSError) as error:
                reply = {"outcome": judge.BROKEN, "detail": str(error)}
            frames.send(out, wire.encode(reply))
    os._exit(0)
