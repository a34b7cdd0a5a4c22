"""The process that candidates are forked from: started by exec, holds no tests, no secrets and no user data.

It reads the child's limits and one descriptor over its control socket, forks, answers with the child's pid, and on
the next byte kills and reaps the child and answers with how it ended. It never sees a program.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import struct
import sys

from polychromic.sandbox import boot, candidate, confine, seccomp, stdlib, wire

END = b"e"
FORK = struct.Struct("=dq")
"""The order to fork: seconds of CPU time and bytes of memory for the child."""
PID = struct.Struct("=i")
ENDED = struct.Struct("=idq")
SMALL, LARGE = "small", "large"
"""Sizes of a zygote: with the modules in common use, and with all that can be had."""


def main(control: socket.socket, unsafe: str) -> None:
    """Serves until the control socket closes."""
    with contextlib.suppress(AttributeError, OSError):
        seccomp.c_library().prctl(confine.PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    plan = confine.plan(unsafe)
    candidate.prepare()
    layers = "\n".join(f"{name}: {words}" for name, words in plan.layers().items())
    os.dup2(os.open(os.devnull, os.O_RDWR), 2)
    control.send(layers.encode())
    while True:
        order, descriptors, _, _ = socket.recv_fds(control, FORK.size, 1)
        if len(order) != FORK.size:
            return
        pid = _fork(plan, descriptors[0], FORK.unpack(order))
        os.close(descriptors[0])
        control.send(PID.pack(pid))
        if pid < 0:
            continue
        if control.recv(1) != END:
            return
        control.send(ENDED.pack(*_reap(pid)))


def _fork(plan: confine.Confinement, channel: int, share: tuple[float, int]) -> int:
    """The child's pid, -1 when there is none."""
    zygote = os.getpid()
    try:
        pid = os.fork()
    except OSError:
        return -1
    if pid == 0:
        try:
            confine.apply(plan, channel, zygote, share)
        except BaseException:  # noqa: BLE001 - a child that is not confined must not go on
            os._exit(confine.UNCONFINED)
        candidate.serve()
        os._exit(0)
    return pid


def _reap(pid: int) -> tuple[int, float, int]:
    """Kills the child (no effect on one that is already dead) and gives its wait status, CPU seconds and peak KiB."""
    os.kill(pid, signal.SIGKILL)
    _, status, usage = os.wait4(pid, 0)
    return status, usage.ru_utime + usage.ru_stime, usage.ru_maxrss


def start(descriptor: int) -> None:
    """Entry point of the exec'd process; tells the reason on standard error when it cannot start."""
    control = socket.socket(fileno=descriptor)
    control.set_inheritable(False)
    try:
        config = wire.decode(control.recv(2**16))
        modules = boot.limits_from(config).modules
        if config["size"] == LARGE:
            stdlib.load(modules)
        else:
            stdlib.load_usual(modules, candidate.leave_for_elsewhere)
        main(control, config["unsafe"])
    except (OSError, ImportError) as error:
        sys.stderr.write(f"{type(error).__name__}: {error}\n")
        sys.exit(1)
