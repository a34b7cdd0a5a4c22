"""The seccomp filter: a classic BPF program that refuses by errno every system call not on the list."""

from __future__ import annotations

import ctypes
import errno
import os
import struct
from collections.abc import Sequence
from dataclasses import dataclass

from polychromic.sandbox.syscalls import ALLOWED, CLONE_THREAD, ERRNOS, SELF_ONLY, THREADS_ONLY, Architecture

LOAD, JUMP_EQUAL, JUMP_SET, RETURN = 0x20, 0x15, 0x45, 0x06
OFFSET_NUMBER, OFFSET_ARCH, OFFSET_ARGUMENT = 0, 4, 16
ALLOW, ERRNO = 0x7FFF0000, 0x00050000
SET_MODE_FILTER, GET_ACTION_AVAIL, SPEC_ALLOW = 1, 2, 4
OWN_PID = 0xFFFFFFFF  # replaced in the child
Instruction = tuple[int, int, int, int]


def instructions(architecture: Architecture, more: Sequence[str] = ()) -> list[Instruction]:
    """The filter, which also allows ``more``: (code, jump if true, jump if false, constant) each.

    ``OWN_PID`` stands for the process id.
    Another architecture's calls (32-bit on a 64-bit machine, x32) match nothing and are refused with EPERM.
    """
    numbers = architecture.numbers
    program: list[Instruction] = [
        (LOAD, 0, 0, OFFSET_ARCH),
        (JUMP_EQUAL, 1, 0, architecture.audit),
        (RETURN, 0, 0, ERRNO | errno.EPERM),
        (LOAD, 0, 0, OFFSET_NUMBER),
    ]
    for name in (*ALLOWED, *more):
        if name in numbers:
            program += [(JUMP_EQUAL, 0, 1, numbers[name]), (RETURN, 0, 0, ALLOW)]
    for name, number in ERRNOS.items():
        if name in numbers:
            program += [(JUMP_EQUAL, 0, 1, numbers[name]), (RETURN, 0, 0, ERRNO | number)]
    for name in THREADS_ONLY:
        program += [
            (JUMP_EQUAL, 0, 4, numbers[name]),
            (LOAD, 0, 0, OFFSET_ARGUMENT),
            (JUMP_SET, 0, 1, CLONE_THREAD),
            (RETURN, 0, 0, ALLOW),
            (RETURN, 0, 0, ERRNO | errno.EAGAIN),
        ]
    for name in SELF_ONLY:
        program += [
            (JUMP_EQUAL, 0, 4, numbers[name]),
            (LOAD, 0, 0, OFFSET_ARGUMENT),  # a pid is 32 bits wide: the kernel ignores the upper half
            (JUMP_EQUAL, 0, 1, OWN_PID),
            (RETURN, 0, 0, ALLOW),
            (RETURN, 0, 0, ERRNO | errno.EPERM),
        ]
    return [*program, (RETURN, 0, 0, ERRNO | errno.EPERM)]


def assemble(program: Sequence[Instruction]) -> bytes:
    """The kernel's ``struct sock_filter[]``."""
    return b"".join(struct.pack("=HBBI", *instruction) for instruction in program)


def c_library() -> ctypes.CDLL:
    """The C library, whose ``syscall`` and ``prctl`` take integers, addresses among them."""
    libc = ctypes.CDLL(None, use_errno=True)
    libc.syscall.argtypes = [ctypes.c_long] * 4
    libc.prctl.argtypes = [ctypes.c_int, *[ctypes.c_ulong] * 4]
    return libc


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("filter", ctypes.c_void_p))


@dataclass(frozen=True)
class Filter:
    """A filter that is built before the fork, so that the child only fills in its process id."""

    libc: ctypes.CDLL
    number: int
    buffer: ctypes.Array[ctypes.c_char]
    places: tuple[int, ...]
    program: _Program
    address: int

    @staticmethod
    def build(libc: ctypes.CDLL, architecture: Architecture, more: Sequence[str] = ()) -> Filter:
        """The filter for this architecture, which also allows ``more``."""
        steps = instructions(architecture, more)
        code = assemble(steps)
        buffer = ctypes.create_string_buffer(code, len(code))
        places = tuple(
            8 * index + 4 for index, step in enumerate(steps) if step[0] == JUMP_EQUAL and step[3] == OWN_PID
        )
        program = _Program(len(steps), ctypes.cast(buffer, ctypes.c_void_p))
        return Filter(libc, architecture.numbers["seccomp"], buffer, places, program, ctypes.addressof(program))

    def refusal(self) -> str:
        """Why the kernel knows no filters, as it says itself; empty when it does, or is too old to be asked."""
        action = ctypes.c_uint32(ERRNO)
        known = self.libc.syscall(self.number, GET_ACTION_AVAIL, 0, ctypes.addressof(action)) == 0
        number = ctypes.get_errno()
        return "" if known or number in (errno.EINVAL, errno.EOPNOTSUPP) else os.strerror(number).lower()

    def install(self, own_pid: int) -> None:
        """Puts the calling process under the filter for good.

        Raises:
            OSError: the kernel refused; nothing was installed.
        """
        for place in self.places:
            struct.pack_into("=I", self.buffer, place, own_pid)
        for flags in (SPEC_ALLOW, 0):  # older kernels do not know the flag
            if self.libc.syscall(self.number, SET_MODE_FILTER, flags, self.address) == 0:
                return
        raise OSError(ctypes.get_errno(), "seccomp filter refused by the kernel")
