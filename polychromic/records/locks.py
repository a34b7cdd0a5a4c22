"""The one lock of the project: a file beside what it guards, held by one process and gone with it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import BaseFileLock, FileLock, Timeout

from polychromic.core.errors import InputError


@contextmanager
def only_process(folder: Path) -> Iterator[None]:
    """Within it no other process trains into ``folder``, which is made.

    Raises:
        InputError: another process does already.
    """
    folder.mkdir(parents=True, exist_ok=True)
    lock = hold(folder / ".lock", folder, "training into this folder")
    try:
        yield
    finally:
        lock.release()


def hold(path: Path, guarded: Path, doing: str) -> BaseFileLock:
    """The lock file ``path``, held until it is released or the process ends; its text is the holder's process id.

    On a volume that has no locks, or may not be written, nothing is held.

    Raises:
        InputError: another process holds it, ``doing`` something to what is ``guarded``.
    """
    lock = FileLock(path, thread_local=False)
    try:
        lock.acquire(timeout=0)
        path.write_text(str(os.getpid()), encoding="ascii")
    except Timeout:
        raise InputError(f"{guarded}: another process{_holder(path)} is {doing}; wait for it or stop it") from None
    except OSError:
        pass
    return lock


def _holder(path: Path) -> str:
    try:
        return f" (pid {int(path.read_text(encoding='ascii'))})"
    except (OSError, ValueError):
        return ""
