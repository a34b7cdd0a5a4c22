"""System call numbers for the filter, by architecture, and which of them a confined program may use.

Everything that is not listed is refused, so a call that a newer kernel adds is refused too. Sources: the kernel's
``arch/x86/entry/syscalls/syscall_64.tbl`` and ``include/uapi/asm-generic/unistd.h`` (aarch64).
"""

from __future__ import annotations

import errno
from dataclasses import dataclass

# Computing, memory, time, waiting, signals to itself, and reading or writing descriptors that are already open.
_ALLOWED = (
    "read write close fstat lseek mmap mprotect munmap brk mremap madvise futex getrandom exit exit_group "
    "rt_sigaction rt_sigprocmask rt_sigreturn sigaltstack restart_syscall poll ppoll select pselect6 sched_yield "
    "sched_getaffinity nanosleep clock_nanosleep clock_gettime clock_getres gettimeofday time times getrusage "
    "getitimer setitimer alarm pause getpid gettid getppid getuid geteuid getgid getegid getcpu set_robust_list rseq"
)
ALLOWED = tuple(_ALLOWED.split())
# Allowed when the flags, the first argument, ask for a thread of the same process; a new process is refused.
THREADS_ONLY = ("clone",)
CLONE_THREAD = 0x10000
# Allowed besides to the judge, which is handed the channel to each program.
JUDGING = ("recvmsg",)
# Allowed when the first argument is the program's own process id (abort, raise).
SELF_ONLY = ("kill", "tgkill")
# What a library should be told instead of EPERM, so that it takes its ordinary fallback.
ERRNOS = {
    "clone3": errno.ENOSYS,
    "openat2": errno.ENOSYS,
    "fork": errno.EAGAIN,
    "vfork": errno.EAGAIN,
    "ioctl": errno.ENOTTY,
    **dict.fromkeys(("open", "openat", "stat", "lstat", "newfstatat", "statx", "access", "faccessat"), errno.EACCES),
    **dict.fromkeys(("faccessat2", "readlink", "readlinkat", "getcwd", "execve", "execveat"), errno.EACCES),
}


@dataclass(frozen=True)
class Architecture:
    """One machine type: the kernel's audit number, and the numbers of the calls named above that exist on it."""

    audit: int
    numbers: dict[str, int]


def _table(text: str) -> dict[str, int]:
    words = text.split()
    return {name: int(number) for name, number in zip(words[::2], words[1::2], strict=True)}


X86_64 = Architecture(
    0xC000003E,
    _table(
        "read 0 write 1 open 2 close 3 stat 4 fstat 5 lstat 6 poll 7 lseek 8 mmap 9 mprotect 10 munmap 11 brk "
        "12 rt_sigaction 13 rt_sigprocmask 14 rt_sigreturn 15 ioctl 16 access 21 select 23 sched_yield 24 "
        "mremap 25 madvise 28 pause 34 nanosleep 35 getitimer 36 alarm 37 setitimer 38 getpid 39 recvmsg 47 "
        "clone 56 fork 57 vfork 58 execve 59 exit 60 kill 62 getcwd 79 readlink 89 gettimeofday 96 getrusage "
        "98 times 100 getuid 102 getgid 104 geteuid 107 getegid 108 getppid 110 sigaltstack 131 prctl 157 "
        "gettid 186 time 201 futex 202 sched_getaffinity 204 restart_syscall 219 clock_gettime 228 "
        "clock_getres 229 clock_nanosleep 230 exit_group 231 tgkill 234 openat 257 newfstatat 262 readlinkat "
        "267 faccessat 269 pselect6 270 ppoll 271 set_robust_list 273 getcpu 309 seccomp 317 getrandom 318 "
        "execveat 322 statx 332 rseq 334 clone3 435 openat2 437 faccessat2 439 landlock_create_ruleset 444 "
        "landlock_restrict_self 446"
    ),
)
AARCH64 = Architecture(
    0xC00000B7,
    _table(
        "getcwd 17 ioctl 29 faccessat 48 openat 56 close 57 lseek 62 read 63 write 64 pselect6 72 ppoll 73 "
        "readlinkat 78 newfstatat 79 fstat 80 exit 93 exit_group 94 futex 98 set_robust_list 99 nanosleep 101 "
        "getitimer 102 setitimer 103 clock_gettime 113 clock_getres 114 clock_nanosleep 115 sched_getaffinity "
        "123 sched_yield 124 restart_syscall 128 kill 129 tgkill 131 sigaltstack 132 rt_sigaction 134 "
        "rt_sigprocmask 135 rt_sigreturn 139 times 153 getrusage 165 prctl 167 getcpu 168 gettimeofday 169 "
        "getpid 172 getppid 173 getuid 174 geteuid 175 getgid 176 getegid 177 gettid 178 recvmsg 212 brk 214 "
        "munmap 215 mremap 216 clone 220 execve 221 mmap 222 mprotect 226 madvise 233 seccomp 277 getrandom "
        "278 execveat 281 statx 291 rseq 293 clone3 435 openat2 437 faccessat2 439 landlock_create_ruleset "
        "444 landlock_restrict_self 446"
    ),
)
ARCHITECTURES = {"x86_64": X86_64, "aarch64": AARCH64}
