"""The evaluator's handle on one worker process."""

from __future__ import annotations

import contextlib
import importlib.util
import marshal
import os
import select
import signal
import subprocess
import tempfile
import time
from collections.abc import Sequence
from typing import Any

from polychromic.core.errors import SandboxError
from polychromic.sandbox import boot, frames, wire
from polychromic.sandbox.nouns import CROWDED, Limits, Program

START_SECONDS = 120.0
GRACE_SECONDS = 10.0  # beyond what the worker itself keeps


def readable(descriptors: Sequence[int], seconds: float) -> set[int]:
    """Those descriptors from which something, or the end, can be read within ``seconds``."""
    poll = select.poll()  # unlike select(), it knows descriptors above 1023
    for descriptor in descriptors:
        poll.register(descriptor, select.POLLIN)
    return {descriptor for descriptor, _ in poll.poll(max(0.0, 1000.0 * seconds))}


class Worker:
    """One supervisor with its zygote, in a session of its own, with an empty environment.

    Raises:
        SandboxError: the process cannot be started (by ``ready``).
    """

    def __init__(self, limits: Limits, unsafe: str) -> None:
        self.limits = limits
        paths = [_folder_of(name) for name in limits.modules]
        self._log = tempfile.TemporaryFile()  # noqa: SIM115 - closed by close()
        self.process = subprocess.Popen(
            boot.command("supervisor", 0, paths),
            env={},
            cwd="/",
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            start_new_session=True,
            bufsize=0,
        )
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self._in, self.out = self.process.stdin.fileno(), self.process.stdout.fileno()
        with contextlib.suppress(frames.GoneError):
            frames.send(self._in, wire.encode(boot.config_of(limits, paths, unsafe)))
        self.deadline = 0.0

    def ready(self) -> dict[str, str]:
        """The layers of confinement, once the worker is up."""
        if not readable([self.out], START_SECONDS):
            raise SandboxError(f"a sandbox worker did not start within {START_SECONDS:g} s")
        try:
            layers: dict[str, str] = wire.decode(frames.receive(self.out, 2**20))["layers"]
        except frames.GoneError:
            self.process.wait()
            raise SandboxError(f"a sandbox worker did not start: {self._last_words()}") from None
        return layers

    def submit(self, program: Program) -> None:
        """Hands over one program; the answer comes on ``out``.

        Raises:
            GoneError: the worker is dead.
        """
        limits = limits_of(program, self.limits)
        self.deadline = time.monotonic() + CROWDED * limits.wall + GRACE_SECONDS
        job = {name: getattr(program, name) for name in ("source", "entry_point", "tests", "setup", "judge", "atol")}
        job |= {"limits": boot.plain(limits), "cases": b"", "inputs": wire.encode(program.inputs)}
        if program.cases:
            job["cases"] = program.cases.packed
        inputs = None if program.inputs is None else len(program.inputs)
        # between processes of our own, which trust each other; the supervisor passes the job on unread
        frames.send(self._in, marshal.dumps((inputs, job["limits"], marshal.dumps(job))))

    def result(self) -> dict[str, Any]:
        """The answer to the last program (call it when ``out`` is readable).

        Raises:
            GoneError: the worker died.
        """
        reply: dict[str, Any] = wire.decode(frames.receive(self.out, 2**30), wire.MAX_DEPTH)
        return reply

    def close(self) -> None:
        """Ends the worker and everything it started."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        for stream in (self.process.stdin, self.process.stdout, self._log):
            if stream is not None:
                stream.close()

    def _last_words(self) -> str:
        self._log.seek(0)
        lines = self._log.read()[-2000:].decode(errors="replace").strip().splitlines()
        return lines[-1] if lines else f"exit status {self.process.returncode}"


def limits_of(program: Program, usual: Limits) -> Limits:
    """What a program may use where ``usual`` is what most may."""
    own = program.limits or usual
    return program.cases.limits(own) if program.cases else own


def _folder_of(module: str) -> str:
    spec = importlib.util.find_spec(module)
    if spec is None or spec.origin is None:
        raise SandboxError(f"the sandbox should offer {module!r}, which is not installed here")
    return (
        os.path.dirname(os.path.dirname(spec.origin))
        if spec.submodule_search_locations
        else os.path.dirname(spec.origin)
    )
