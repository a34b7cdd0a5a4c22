"""Frames over file descriptors: four bytes of length, then so many bytes."""

from __future__ import annotations

import os
import struct

SIZE = struct.Struct("<I")


class GoneError(ConnectionError):
    """The other side closed the channel or died."""


class LongError(ValueError):
    """A frame that announces more bytes than are allowed."""


def send(descriptor: int, payload: bytes) -> None:
    """Writes one frame: four bytes of length, then ``payload``.

    Raises:
        GoneError: nobody reads.
    """
    view = memoryview(SIZE.pack(len(payload)) + payload)
    try:
        while view:
            view = view[os.write(descriptor, view) :]
    except (BrokenPipeError, ConnectionResetError) as error:
        raise GoneError("nobody reads") from error


def receive(descriptor: int, limit: int) -> bytes:
    """One frame of at most ``limit`` bytes.

    Raises:
        GoneError: the channel ended before the frame did.
        LongError: the frame announces more than ``limit`` bytes.
    """
    (size,) = SIZE.unpack(_exactly(descriptor, 4))
    if size > limit:
        raise LongError(f"larger than {limit} bytes")
    return _exactly(descriptor, size)


def _exactly(descriptor: int, size: int) -> bytes:
    parts = []
    while size:
        try:
            part = os.read(descriptor, min(size, 2**20))
        except ConnectionResetError as error:
            raise GoneError("the channel was reset") from error
        if not part:
            raise GoneError("the channel ended")
        parts.append(part)
        size -= len(part)
    return parts[0] if len(parts) == 1 else b"".join(parts)
