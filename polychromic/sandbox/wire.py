"""Plain data to bytes and back, and frames over file descriptors.

Only exact built-in types cross: None, bool, int, float, complex, str, bytes, bytearray, list, tuple, dict, set,
frozenset, range. Instances of their subclasses are sent as the built-in they contain, so an object that overrides
``__eq__`` arrives as what it holds. The decoder trusts nothing: sizes, depth, counts and hash collisions are checked,
and nothing is ever executed, imported or unpickled.
"""

from __future__ import annotations

import os
import struct
from collections import Counter
from typing import Any

MAX_DEPTH = 100
MAX_SAME_HASH = 64
HEADER = struct.Struct("<I")
DOUBLE = struct.Struct("<d")


class WireError(ValueError):
    """Not plain data, or more or deeper than allowed."""


class TooLargeError(WireError):
    """Plain data, but more than the byte limit."""


class GoneError(ConnectionError):
    """The other side closed the channel or died."""


def encode(value: object, limit: int = 2**30, depth: int = MAX_DEPTH) -> bytes:
    """``value`` as bytes, at most ``limit`` of them and nested at most ``depth`` deep.

    Raises:
        WireError: some part is not plain data, or nested too deeply (a cycle is).
        TooLargeError: the encoding would exceed ``limit`` bytes.
    """
    out = bytearray()
    _Encoder(out, limit, depth).put(value, 0)
    return bytes(out)


class _Encoder:
    """Appends tagged values to ``out``. It runs beside the program, so it only has to be right about honest data."""

    def __init__(self, out: bytearray, limit: int, depth: int) -> None:
        self.out, self.limit, self.depth = out, limit, depth

    def put(self, value: Any, level: int) -> None:
        """Appends one value found ``level`` containers down."""
        kind = type(value)
        if kind not in _TAGS:
            value, kind = _plain(value)
        if kind in _CONTAINERS:
            self._container(value, kind, level)
            return
        self.out += _TAGS[kind]
        payload = _scalar(value, kind)
        if len(self.out) + len(payload) > self.limit:
            raise TooLargeError(f"larger than {self.limit} bytes")
        if kind not in _FIXED:
            self.out += HEADER.pack(len(payload))
        self.out += payload

    def _container(self, value: Any, kind: type, level: int) -> None:
        if level >= self.depth:
            raise WireError(f"nested deeper than {self.depth}")
        size = kind.__len__(value)  # type: ignore[attr-defined]
        if len(self.out) + size > self.limit:
            raise TooLargeError(f"larger than {self.limit} bytes")
        self.out += _TAGS[kind] + HEADER.pack(size)
        if kind is dict:
            for key, item in dict.items(value):
                self.put(key, level + 1)
                self.put(item, level + 1)
        else:
            for item in kind.__iter__(value):  # type: ignore[attr-defined]
                self.put(item, level + 1)


_CONTAINERS: dict[type, bytes] = {list: b"l", tuple: b"t", dict: b"D", set: b"S", frozenset: b"Z"}
_FIXED: dict[type, bytes] = {type(None): b"N", bool: b"", float: b"d", complex: b"c"}
_SIZED: dict[type, bytes] = {int: b"i", str: b"s", bytes: b"b", bytearray: b"a", range: b"r"}
_TAGS: dict[type, bytes] = {**_CONTAINERS, **_FIXED, **_SIZED}


def _plain(value: Any) -> tuple[Any, type]:
    """``value`` and the built-in type it contains (Counter: dict, namedtuple: tuple, IntEnum: int, numpy scalars)."""
    kind = type(value)
    for base in kind.__mro__:
        if base in _TAGS:
            return value, base
    if kind.__module__ == "numpy" and getattr(value, "shape", None) == ():
        inner = value.item()
        if type(inner) in _TAGS:
            return inner, type(inner)
    raise WireError(f"{kind.__name__[:60]} is not plain data")


_SCALARS: dict[type, Any] = {
    type(None): lambda value: b"",
    bool: lambda value: b"T" if value else b"F",
    int: lambda value: int.to_bytes(value, int.bit_length(value) // 8 + 1, "little", signed=True),
    float: DOUBLE.pack,
    complex: lambda value: struct.pack("<dd", complex.__pos__(value).real, complex.__pos__(value).imag),
    str: lambda value: str.encode(value, "utf-8", "surrogatepass"),
    bytes: lambda value: bytes.__getitem__(value, slice(None)),
    bytearray: lambda value: bytes(bytearray.__getitem__(value, slice(None))),
    range: lambda value: encode((value.start, value.stop, value.step)),
}


def _scalar(value: Any, kind: type) -> bytes:
    payload: bytes = _SCALARS[kind](value)
    return payload


def decode(data: bytes, depth: int = MAX_DEPTH) -> Any:
    """The value that ``data`` encodes; ``data`` may come from an enemy.

    Raises:
        WireError: garbled, truncated, too deep, an unhashable key, or keys made to collide.
    """
    try:
        value, end = _take(data, 0, depth)
    except (struct.error, IndexError, UnicodeError, TypeError, OverflowError, RecursionError) as error:
        raise WireError(f"garbled data ({type(error).__name__})") from error
    if end != len(data):
        raise WireError("garbled data (trailing bytes)")
    return value


def _take(data: bytes, at: int, depth: int) -> tuple[Any, int]:
    """The value at ``at`` and the place after it."""
    tag = data[at : at + 1]
    at += 1
    if tag == b"N":
        return None, at
    if tag == b"T":
        return True, at
    if tag == b"F":
        return False, at
    if tag == b"d":
        return DOUBLE.unpack_from(data, at)[0], at + 8
    if tag == b"c":
        return complex(*struct.unpack_from("<dd", data, at)), at + 16
    (size,) = HEADER.unpack_from(data, at)
    at += 4
    if size > len(data) - at:
        raise WireError("garbled data (size)")
    if tag in b"isbar" and tag:
        return _sized(tag, data[at : at + size]), at + size
    if depth <= 0:
        raise WireError("nested too deeply")
    return _contained(tag, data, at, size, depth)


def _sized(tag: bytes, payload: bytes) -> Any:
    if tag == b"i":
        return int.from_bytes(payload, "little", signed=True)
    if tag == b"s":
        return payload.decode("utf-8", "surrogatepass")
    if tag == b"b":
        return payload
    if tag == b"a":
        return bytearray(payload)
    ends = decode(payload, 1)
    if type(ends) is not tuple or len(ends) != 3 or any(type(end) is not int for end in ends) or not ends[2]:
        raise WireError("garbled data (range)")
    return range(*ends)


def _contained(tag: bytes, data: bytes, at: int, size: int, depth: int) -> tuple[Any, int]:
    items = []
    for _ in range(2 * size if tag == b"D" else size):
        value, at = _take(data, at, depth - 1)
        items.append(value)
    if tag == b"l":
        return items, at
    if tag == b"t":
        return tuple(items), at
    keys = items[::2] if tag == b"D" else items
    if len(keys) > MAX_SAME_HASH and max(Counter(map(hash, keys)).values()) > MAX_SAME_HASH:
        raise WireError("keys made to collide")
    if tag == b"D":
        return dict(zip(keys, items[1::2], strict=True)), at
    if tag == b"S":
        return set(items), at
    if tag == b"Z":
        return frozenset(items), at
    raise WireError("garbled data (tag)")


def send(descriptor: int, payload: bytes) -> None:
    """Writes one frame: four bytes of length, then ``payload``.

    Raises:
        GoneError: nobody reads.
    """
    view = memoryview(HEADER.pack(len(payload)) + payload)
    try:
        while view:
            view = view[os.write(descriptor, view) :]
    except (BrokenPipeError, ConnectionResetError) as error:
        raise GoneError("nobody reads") from error


def receive(descriptor: int, limit: int) -> bytes:
    """One frame of at most ``limit`` bytes.

    Raises:
        GoneError: the channel ended before the frame did.
        TooLargeError: the frame announces more than ``limit`` bytes.
    """
    (size,) = HEADER.unpack(_exactly(descriptor, 4))
    if size > limit:
        raise TooLargeError(f"larger than {limit} bytes")
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
    return b"".join(parts)
