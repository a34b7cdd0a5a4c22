"""A child that cannot be confined dies before it reads the program."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import polychromic
from polychromic.sandbox import selftest
from polychromic.sandbox.nouns import Judgement, Outcome

ROOT = str(Path(polychromic.__file__).resolve().parents[1])
SCRIPT = """
import dataclasses, os, socket, sys
sys.path.insert(0, sys.argv[1])
from polychromic.sandbox import confine, frames, wire, zygote
plan = confine.plan()
{damage}
ours, theirs = socket.socketpair()
pid = zygote._fork(plan, theirs.fileno(), (1.0, 2**28))
theirs.close()
said = ours.recv(100)
os.kill(pid, 9) if said else None
_, status = os.waitpid(pid, 0)
print(said, os.waitstatus_to_exitcode(status))
"""


def fork_with(damage: str) -> str:
    command = [sys.executable, "-c", SCRIPT.format(damage=damage), ROOT]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def test_a_confined_child_says_so_first() -> None:
    assert fork_with("").startswith(r"b'\x08\x00\x00\x00confined'")


@pytest.mark.parametrize(
    "damage",
    [
        "plan = dataclasses.replace(plan, seccomp=dataclasses.replace(plan.seccomp, number=-1))",
        "plan.seccomp.program.length = 0",
        "confine.os.setresuid = lambda *a: (_ for _ in ()).throw(OSError())\n"
        "plan = dataclasses.replace(plan, drop_user=True)",
        "confine.PR_SET_DUMPABLE = 99999",
        "plan = dataclasses.replace(plan, landlock_abi=1, landlock=0)",
        "confine.os.getppid = lambda: 1",
        "confine.limit_resource = lambda *a: (_ for _ in ()).throw(ValueError())",
    ],
)
def test_each_step_that_fails_ends_the_child_before_the_program(damage: str) -> None:
    assert fork_with(damage) == "b'' 113\n"


def test_other_machines_are_refused_with_advice() -> None:
    damage = "import platform\nplatform.machine = lambda: 'riscv64'\nconfine.plan()"
    command = [sys.executable, "-c", SCRIPT.format(damage=damage), ROOT]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    assert "no confinement for Linux on riscv64; known: Linux on x86_64, aarch64" in run.stderr


def test_a_machine_without_seccomp_says_so() -> None:
    damage = (
        "libc = confine.seccomp.c_library()\n"
        "class Other:\n"
        "    prctl, syscall = libc.prctl, staticmethod(lambda number, *rest: libc.syscall(-1, *rest))\n"
        "confine.seccomp.c_library = Other\n"
        "confine.plan()"
    )
    command = [sys.executable, "-c", SCRIPT.format(damage=damage), ROOT]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    assert "no seccomp filter here (function not implemented): this kernel or container has none" in run.stderr


def test_one_failed_canary_is_enough_to_refuse() -> None:
    layers = {"landlock": "ABI 7"}
    held = {place: Judgement(canary.expected) for place, canary in enumerate(selftest.CANARIES)}
    assert selftest.verify(layers, held, "required")["level"] == "full"
    assert selftest.verify({"landlock": "not in this kernel"}, held, "required")["level"] == "seccomp"
    for place, canary in enumerate(selftest.CANARIES):
        other = Outcome.WRONG_ANSWER if canary.expected is not Outcome.WRONG_ANSWER else Outcome.PASSED
        with pytest.raises(selftest.SandboxError, match=canary.name):
            selftest.verify(layers, held | {place: Judgement(other)}, "required")
        assert selftest.verify(layers, held | {place: Judgement(other)}, "unsafe_none")["level"] == "unsafe"
