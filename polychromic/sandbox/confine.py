"""Takes away from a freshly forked process everything a program does not need.

The order matters: limits, descriptors, user id, death signal (a change of user clears it), undumpable,
Landlock, seccomp last. A step that fails raises, and the child must then die without having read
the program. What the zygote can bear itself (no new privileges, most limits), it takes on before the fork, so that
children inherit it for nothing; each memory page that a child touches costs it two microseconds.
"""

from __future__ import annotations

import ctypes
import fcntl
import os
import platform
import resource
import signal
import struct
from collections.abc import Sequence
from dataclasses import dataclass

from polychromic.sandbox import seccomp
from polychromic.sandbox.syscalls import ARCHITECTURES, Architecture

CHANNEL, RULESET = 3, 4
DESCRIPTORS = 64
UNCONFINED = 113  # exit status of a child that could not be confined
HELLO = b"confined"  # what a child says once it is
NOBODY = 65534
BACKSTOP = 2  # the kernel's CPU limit against ours: it counts whole ticks, which on a crowded machine are too many
PR_SET_PDEATHSIG, PR_SET_DUMPABLE, PR_SET_NO_NEW_PRIVS = 1, 4, 38
LANDLOCK_FS_BY_ABI = {1: 13, 2: 14, 3: 15, 4: 15}  # number of file rights known to each version; 16 from 5 on
CAPABILITY_VERSION_3 = 0x20080522


class UnsupportedError(OSError):
    """This machine cannot confine."""


@dataclass(frozen=True)
class Confinement:
    """What the children of this process are put under.

    ``address_space`` bytes are mapped before the program has any, ``landlock_abi`` is 0 when the kernel has none and
    ``landlock`` then -1, else the descriptor of an empty ruleset; ``drop_user`` tells whether this process may change
    its user id.
    """

    libc: ctypes.CDLL
    architecture: Architecture
    address_space: int
    landlock_abi: int
    drop_user: bool
    landlock: int
    seccomp: seccomp.Filter | None

    def layers(self) -> dict[str, str]:
        """The layers in words, for the report."""
        root = os.geteuid() == 0
        return {
            "seccomp": "no-open filter" if self.seccomp else "OFF (unsafe)",
            "landlock": f"ABI {self.landlock_abi}" if self.landlock_abi else "not in this kernel",
            "user": f"uid {NOBODY}"
            if self.drop_user
            else "capabilities dropped"
            if root
            else f"unprivileged already, uid {os.geteuid()}",
            "limits": "cpu, address space, files, processes, core",
        }


def plan(unsafe: str = "", more: Sequence[str] = ()) -> Confinement:
    """The confinement this machine offers to children of the calling process, which takes on its share at once.

    ``more`` are system calls that the filter allows besides the usual.

    Raises:
        UnsupportedError: not Linux, or a processor without a table of system calls.
        OSError: a step that must work did not.
    """
    machine = {"arm64": "aarch64", "amd64": "x86_64"}.get(platform.machine(), platform.machine())
    if os.uname().sysname != "Linux" or machine not in ARCHITECTURES:
        known = ", ".join(ARCHITECTURES)
        raise UnsupportedError(f"no confinement for {os.uname().sysname} on {machine}; known: Linux on {known}")
    libc = seccomp.c_library()
    architecture = ARCHITECTURES[machine]
    drop_user = _may_drop_user()
    if drop_user:
        os.setgroups([])
    _prctl(libc, PR_SET_NO_NEW_PRIVS, 1)
    abi = max(libc.syscall(architecture.numbers["landlock_create_ruleset"], 0, 0, 1), 0)
    ruleset = _landlock(libc, architecture, abi) if abi else -1
    compiled = None if unsafe == "unsafe_none" else seccomp.Filter.build(libc, architecture, more)
    missing = compiled and compiled.refusal()
    if missing:
        raise UnsupportedError(
            f"no seccomp filter here ({missing}): this kernel or container has none; use Linux with seccomp, in a "
            "container with its default profile"
        )
    for kind, wanted in _INHERITED.items():
        limit_resource(kind, wanted)
    return Confinement(libc, architecture, own_address_space(), abi, drop_user, ruleset, compiled)


_INHERITED = {
    resource.RLIMIT_NOFILE: DESCRIPTORS,
    resource.RLIMIT_FSIZE: 0,
    resource.RLIMIT_CORE: 0,
    resource.RLIMIT_MEMLOCK: 0,
    resource.RLIMIT_MSGQUEUE: 0,
    resource.RLIMIT_SIGPENDING: 16,
}


def own_address_space() -> int:
    """Bytes of address space that the calling process has mapped."""
    with open("/proc/self/statm") as file:
        return int(file.read().split()[0]) * resource.getpagesize()


def _may_drop_user() -> bool:
    """Whether a child can become nobody (root may not, where a user namespace maps no other user)."""
    if os.geteuid() != 0:
        return False
    pid = os.fork()
    if pid == 0:
        try:
            _drop_user()
            os._exit(0)
        except OSError:
            os._exit(1)
    return os.waitpid(pid, 0)[1] == 0


def _drop_user() -> None:
    os.setresgid(NOBODY, NOBODY, NOBODY)
    os.setresuid(NOBODY, NOBODY, NOBODY)


def apply(confinement: Confinement, channel: int, parent: int, share: tuple[float, int]) -> None:
    """Confines the calling process; afterwards ``channel`` is descriptor 3 and the only one besides /dev/null.

    ``share`` are the seconds of CPU time and the bytes of memory that it may use.

    Raises:
        OSError: a step failed; the process must not go on.
    """
    libc = confinement.libc
    cpu_seconds, memory_bytes = share
    limit_resource(resource.RLIMIT_CPU, BACKSTOP * (int(cpu_seconds) + 1))
    limit_resource(resource.RLIMIT_AS, confinement.address_space + memory_bytes)
    if not confinement.seccomp:  # the filter refuses new processes, and lets threads be
        limit_resource(resource.RLIMIT_NPROC, 0)
    os.dup2(channel, CHANNEL, inheritable=False)
    if confinement.landlock_abi:
        os.dup2(confinement.landlock, RULESET, inheritable=False)
    os.closerange(RULESET + bool(confinement.landlock_abi), DESCRIPTORS)
    if confinement.drop_user:
        _drop_user()
    elif os.geteuid() == 0:
        _drop_capabilities(libc)
    _prctl(libc, PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        raise OSError("the parent is gone")
    _prctl(libc, PR_SET_DUMPABLE, 0)
    if confinement.landlock_abi:
        restrict = confinement.architecture.numbers["landlock_restrict_self"]
        if libc.syscall(restrict, RULESET, 0, 0) != 0:
            raise OSError(ctypes.get_errno(), "Landlock refused")
        os.close(RULESET)
    if confinement.seccomp:
        confinement.seccomp.install(os.getpid())


def limit_resource(kind: int, wanted: int) -> None:
    """Sets a limit to ``wanted``, or to what is already enforced if that is less."""
    hard = resource.getrlimit(kind)[1]
    value = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    resource.setrlimit(kind, (value, value))


def _prctl(libc: ctypes.CDLL, option: int, value: int) -> None:
    if libc.prctl(option, value, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), f"prctl {option} refused")


def _drop_capabilities(libc: ctypes.CDLL) -> None:
    header = struct.pack("=Ii", CAPABILITY_VERSION_3, 0)
    if libc.capset(header, struct.pack("=6I", *[0] * 6)) != 0:
        raise OSError(ctypes.get_errno(), "capset refused")


def _landlock(libc: ctypes.CDLL, architecture: Architecture, abi: int) -> int:
    """A ruleset that handles every right this kernel knows and grants none: files; TCP from ABI 4; scopes from 6."""
    rights = [(1 << LANDLOCK_FS_BY_ABI.get(abi, 16)) - 1]
    rights += [0b11] if abi >= 4 else []
    rights += [0b11] if abi >= 6 else []
    attributes = struct.pack(f"={len(rights)}Q", *rights)
    create = architecture.numbers["landlock_create_ruleset"]
    buffer = ctypes.create_string_buffer(attributes, len(attributes))
    ruleset = libc.syscall(create, ctypes.addressof(buffer), len(attributes), 0)
    if ruleset < 0:
        raise OSError(ctypes.get_errno(), "Landlock ruleset refused")
    high = fcntl.fcntl(ruleset, fcntl.F_DUPFD_CLOEXEC, RULESET + 1)  # out of the way of the child's descriptors
    os.close(ruleset)
    return high
