"""The filter, run by an interpreter of classic BPF written here: which call of which machine gets which answer."""

from __future__ import annotations

import errno
import re
import struct
from pathlib import Path

import pytest

from polychromic.sandbox import seccomp
from polychromic.sandbox.syscalls import (
    AARCH64,
    ALLOWED,
    ARCHITECTURES,
    CLONE_THREAD,
    ERRNOS,
    JUDGING,
    SELF_ONLY,
    THREADS_ONLY,
    X86_64,
    Architecture,
)

PID = 4242
HEADERS = {
    "x86_64": ("/usr/include/x86_64-linux-gnu/asm/unistd_64.h", r"#define __NR_(\w+) (\d+)"),
    "aarch64": ("/usr/include/asm-generic/unistd.h", r"#define __NR(?:3264)?_(\w+) (\d+)"),
}


def answer(architecture: Architecture, number: int, argument: int = 0, audit: int | None = None) -> int:
    """0 when the call is allowed, else its errno."""
    data = struct.pack("=iIQ6Q", number, audit or architecture.audit, 0, argument & (2**64 - 1), 0, 0, 0, 0, 0)
    program = seccomp.instructions(architecture)
    place = accumulator = 0
    while True:
        code, yes, no, constant = program[place]
        place += 1
        if code == seccomp.LOAD:
            (accumulator,) = struct.unpack_from("=I", data, constant)
        elif code == seccomp.JUMP_EQUAL:
            place += yes if accumulator == (PID if constant == seccomp.OWN_PID else constant) else no
        elif code == seccomp.JUMP_SET:
            place += yes if accumulator & constant else no
        else:
            assert code == seccomp.RETURN
            kind, value = constant & 0xFFFF0000, constant & 0xFFFF
            assert kind in (seccomp.ALLOW, seccomp.ERRNO)  # never a kill
            assert (kind == seccomp.ALLOW) == (value == 0)
            return value


@pytest.mark.parametrize("machine", ARCHITECTURES)
def test_exactly_the_listed_calls_are_allowed(machine: str) -> None:
    architecture = ARCHITECTURES[machine]
    names = {number: name for name, number in architecture.numbers.items()}
    for number in [*range(600), 0x40000000, 0x40000001, 0x40000039, 2**31 - 1]:
        name = names.get(number)
        refused = errno.EAGAIN if name in THREADS_ONLY else ERRNOS.get(name or "", errno.EPERM)
        expected = 0 if name in ALLOWED else refused
        assert answer(architecture, number) == expected, (number, name)


@pytest.mark.parametrize("machine", ARCHITECTURES)
def test_a_program_may_signal_itself_only(machine: str) -> None:
    architecture = ARCHITECTURES[machine]
    for name in SELF_ONLY:
        number = architecture.numbers[name]
        assert answer(architecture, number, PID) == 0
        for other in (PID + 1, 0, -1, 1, -PID):
            assert answer(architecture, number, other) == errno.EPERM


@pytest.mark.parametrize("machine", ARCHITECTURES)
def test_a_program_may_start_threads_only(machine: str) -> None:
    """The flags are those of glibc's pthread_create, fork and vfork, and of a new namespace."""
    architecture = ARCHITECTURES[machine]
    clone = architecture.numbers["clone"]
    assert answer(architecture, clone, 0x3D0F00) == 0
    for flags in (0x1200011, 0x4111, 0x11, 0, 0x10000000, 0x20000000, CLONE_THREAD << 1, CLONE_THREAD << 32):
        assert answer(architecture, clone, flags) == errno.EAGAIN


def test_the_judge_may_be_handed_descriptors_besides() -> None:
    plain, judging = (seccomp.instructions(X86_64, more) for more in ((), JUDGING))
    assert set(JUDGING) == {"recvmsg"}
    assert [step for step in judging if step not in plain] == [(seccomp.JUMP_EQUAL, 0, 1, X86_64.numbers["recvmsg"])]


@pytest.mark.parametrize("machine", ARCHITECTURES)
def test_calls_of_another_machine_are_refused(machine: str) -> None:
    architecture = ARCHITECTURES[machine]
    for audit in ({X86_64.audit, AARCH64.audit} | {0x40000003, 0x40000028}) - {architecture.audit}:
        assert {answer(architecture, number, PID, audit) for number in range(450)} == {errno.EPERM}


def test_the_dangerous_calls_are_not_on_the_list() -> None:
    dangerous = "open openat openat2 creat socket connect clone3 fork execve ptrace prctl seccomp memfd_create dup"
    dangerous += " fcntl prlimit64 setrlimit process_vm_readv io_uring_setup shmget mount unshare setns pipe sendmsg"
    assert not set(dangerous.split()) & {*ALLOWED, *SELF_ONLY}


@pytest.mark.parametrize("machine", ARCHITECTURES)
def test_the_numbers_are_the_kernel_headers(machine: str) -> None:
    path, pattern = HEADERS[machine]
    if not Path(path).exists():
        pytest.skip("no kernel headers here")
    table = {name: int(number) for name, number in re.findall(pattern, Path(path).read_text())}
    table["newfstatat"] = table.get("newfstatat", table.get("fstatat", -1))
    ours = ARCHITECTURES[machine].numbers
    known = {name: table[name] for name in ours if name in table}
    assert known == {name: ours[name] for name in known}
    assert len(known) >= len(ours) - 2  # an old header may lack the newest


def test_the_kernel_reads_what_was_assembled() -> None:
    code = seccomp.assemble([(seccomp.JUMP_EQUAL, 1, 2, 0x01020304)])
    assert code == struct.pack("=HBBI", 0x15, 1, 2, 0x01020304)
    assert len(seccomp.instructions(X86_64)) < 4096
    assert all(max(yes, no) < 256 for _, yes, no, _ in seccomp.instructions(X86_64))
