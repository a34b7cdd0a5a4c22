"""Opening what a person names: a file or a pipe, of a size that fits, or one line that says why not."""

from __future__ import annotations

import stat
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO, TypeVar

from polychromic.core.errors import InputError, MissingResourceError

LARGEST = 256 * 2**20
"""Bytes of an input that is read whole."""
T = TypeVar("T")
_REFUSED = {stat.S_IFCHR: "a device", stat.S_IFBLK: "a device", stat.S_IFSOCK: "a socket", stat.S_IFDIR: "a folder"}


def open_input(path: str | Path) -> BinaryIO:
    """The file or pipe, opened for its bytes.

    Raises:
        MissingResourceError: there is none.
        InputError: it is a folder or a device, or cannot be read.
    """
    return checked(path, lambda: Path(path).open("rb"))


def checked(path: str | Path, use: Callable[[], T]) -> T:
    """What ``use`` makes of the file or pipe; raises what ``open_input`` raises."""
    try:
        kind = _REFUSED.get(stat.S_IFMT(Path(path).stat().st_mode))
        if kind is None:
            return use()
    except FileNotFoundError:
        raise MissingResourceError(f"{path}: there is no such file") from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "no name of a file"
        raise InputError(f"{path}: cannot be read: {reason.lower()}") from None
    raise InputError(f"{path}: cannot be read: is {kind}, not a file")


def read_input(path: str | Path, largest: int = LARGEST) -> bytes:
    """All bytes of a file or pipe; never more than ``largest`` are in memory.

    Raises:
        MissingResourceError: there is none.
        InputError: as ``open_input``, or it is larger.
    """
    with open_input(path) as file:
        found = file.read(largest + 1)
    if len(found) > largest:
        raise InputError(f"{path}: has more than {largest // 2**20} MB, which is no input of this kind")
    return found
