"""Data to bytes and back.

Exact built-in types cross as themselves: None, bool, int, float, complex, str, bytes, bytearray, list, tuple, dict,
set, frozenset, range. What else may cross is a codec's to say: it describes a value as a name and a payload of such
data, and builds it on the other side. The decoder trusts nothing: sizes, depth, counts and hash collisions are
checked, and nothing is ever executed, imported or unpickled.
"""

from __future__ import annotations

import struct
from collections import Counter
from typing import Any, Protocol

from polychromic.sandbox.bases import base_of, content

MAX_DEPTH = 100
MAX_SAME_HASH = 64
HEADER = struct.Struct("<I")
DOUBLE = struct.Struct("<d")
SMALL = struct.Struct("<cq")
_LONG = struct.Struct("<q")


class WireError(ValueError):
    """Data that does not cross, or more or deeper than allowed."""


class TooLargeError(WireError):
    """Data that crosses, but more than the byte limit."""


class Codec(Protocol):
    """What crosses besides exact built-in types; instances of mutable ones are known to ``Shared`` as well."""

    def is_mutable(self, kind: type) -> bool:
        """Whether an instance may be changed in place."""

    def describe(self, value: Any) -> tuple[str, Any] | None:
        """A name and a payload for ``value``; None where it crosses only as the built-in it holds, if it does."""

    def build(self, name: str, payload: Any) -> Any:
        """The value that was described; raises WireError for what nobody honest would send."""


class Builtins:
    """The codec of nothing but built-ins: instances of their subclasses are sent as what they hold."""

    def is_mutable(self, kind: type) -> bool:
        """None is: what they hold is sent."""
        return False

    def describe(self, value: Any) -> tuple[str, Any] | None:
        """Has no description."""
        return None

    def build(self, name: str, payload: Any) -> Any:
        """Refuses."""
        raise WireError("garbled data (name)")


class Shared:
    """The lists, dicts, sets and bytearrays of one request, which a reply may refer to instead of copying them.

    With ``grows`` each one met is entered, and met again referred to, so that aliases stay aliases.
    """

    def __init__(self, items: list[Any] | None = None) -> None:
        self.grows = items is None
        self.items: list[Any] = items or []
        self.places = {id(item): place for place, item in enumerate(self.items)}

    def enter(self, item: Any) -> None:
        """Makes ``item`` known (called before its parts are looked at)."""
        if self.grows:
            self.places[id(item)] = len(self.items)
            self.items.append(item)


BUILTINS = Builtins()


def encode(
    value: object, limit: int = 2**30, depth: int = MAX_DEPTH, codec: Codec = BUILTINS, shared: Shared | None = None
) -> bytes:
    """``value`` as bytes, at most ``limit`` of them and nested at most ``depth`` deep.

    Raises:
        WireError: some part does not cross, or is nested too deeply (a cycle is).
        TooLargeError: the encoding would exceed ``limit`` bytes.
    """
    out = bytearray()
    _Encoder(out, limit, codec, shared).put(value, depth)
    if len(out) > limit:
        raise TooLargeError(f"larger than {limit} bytes")
    return bytes(out)


class _Encoder:
    """Appends tagged values to ``out``. It runs beside the program, so it only has to be right about honest data."""

    def __init__(self, out: bytearray, limit: int, codec: Codec, shared: Shared | None) -> None:
        self.out, self.limit, self.codec, self.shared = out, limit, codec, shared

    def put(self, value: Any, depth: int) -> None:
        """Appends one value that may be ``depth`` containers deep."""
        kind = type(value)
        if kind is int and -SMALLEST <= value < SMALLEST:
            self.out += SMALL.pack(b"q", value)
        elif kind in _SCALARS:
            self._scalar(value, kind)
        elif kind in _CONTAINERS:
            self._container(value, kind, depth)
        else:
            self._other(value, depth)

    def _scalar(self, value: Any, kind: type) -> None:
        if kind is bytearray and self._referred(value):
            return
        tag, code = _SCALARS[kind]
        payload = code(value)
        if len(self.out) + len(payload) > self.limit:
            raise TooLargeError(f"larger than {self.limit} bytes")
        self.out += tag
        if kind in _SIZED:
            self.out += HEADER.pack(len(payload))
        self.out += payload

    def _container(self, value: Any, kind: type, depth: int) -> None:
        if depth <= 0:
            raise WireError("nested too deeply")
        if kind in _MUTABLE and self._referred(value):
            return
        size = kind.__len__(value)  # type: ignore[attr-defined]
        if len(self.out) + size > self.limit:
            raise TooLargeError(f"larger than {self.limit} bytes")
        if kind in _PACKED and size > 1 and self._packed(value, kind):
            return
        self.out += _CONTAINERS[kind] + HEADER.pack(size)
        if kind is dict:
            for key, item in dict.items(value):
                self.put(key, depth - 1)
                self.put(item, depth - 1)
        else:
            for item in kind.__iter__(value):  # type: ignore[attr-defined]
                self.put(item, depth - 1)

    def _packed(self, value: Any, kind: type) -> bool:
        """Whether a sequence of nothing but floats, or of nothing but small ints, was appended in one piece."""
        first = type(value[0])
        if first not in _PACKINGS or set(map(type, value)) != {first}:
            return False
        try:
            payload = struct.pack(f"<{len(value)}{_PACKINGS[first]}", *value)
        except struct.error:  # a larger int
            return False
        self.out += _PACKED[kind] + _PACKINGS[first].encode() + HEADER.pack(len(value)) + payload
        return True

    def _referred(self, value: Any) -> bool:
        """Whether a reference to a known container was appended in the place of its content."""
        if self.shared is None:
            return False
        place = self.shared.places.get(id(value))
        if place is None:
            self.shared.enter(value)
            return False
        self.out += b"R" + HEADER.pack(place)
        return True

    def _other(self, value: Any, depth: int) -> None:
        if depth <= 0:
            raise WireError("nested too deeply")
        mutable = self.codec.is_mutable(type(value))
        if mutable and self._referred(value):
            return
        described = self.codec.describe(value)
        if described is None:
            base = base_of(type(value))
            if base is None:
                raise WireError(f"{type(value).__name__[:60]} is not plain data")
            self.put(content(value, base), depth)
            return
        self.out += b"X" if mutable else b"x"
        self.put(described[0], depth)
        self.put(described[1], depth - 1)
        if len(self.out) > self.limit:
            raise TooLargeError(f"larger than {self.limit} bytes")


SMALLEST = 2**63
_CONTAINERS: dict[type, bytes] = {list: b"l", tuple: b"t", dict: b"D", set: b"S", frozenset: b"Z"}
_MUTABLE = {list, dict, set}
_PACKED: dict[type, bytes] = {list: b"L", tuple: b"P"}
_PACKINGS: dict[type, str] = {int: "q", float: "d"}
_SIZED = {int, str, bytes, bytearray, range}
_SCALARS: dict[type, tuple[bytes, Any]] = {
    type(None): (b"N", lambda value: b""),
    bool: (b"", lambda value: b"T" if value else b"F"),
    float: (b"d", DOUBLE.pack),
    complex: (b"c", lambda value: struct.pack("<dd", value.real, value.imag)),
    int: (b"i", lambda value: value.to_bytes(value.bit_length() // 8 + 1, "little", signed=True)),
    str: (b"s", lambda value: value.encode("utf-8", "surrogatepass")),
    bytes: (b"b", bytes),
    bytearray: (b"a", bytes),
    range: (b"r", lambda value: encode((value.start, value.stop, value.step))),
}


def decode(data: bytes, depth: int = MAX_DEPTH, codec: Codec = BUILTINS, shared: Shared | None = None) -> Any:
    """The value that ``data`` encodes; ``data`` may come from an enemy.

    Raises:
        WireError: garbled, truncated, too deep, an unhashable key, or keys made to collide.
    """
    try:
        value, end = _Decoder(data, codec, shared).take(0, depth)
    except (struct.error, IndexError, UnicodeError, TypeError, OverflowError, RecursionError) as error:
        raise WireError(f"garbled data ({type(error).__name__})") from error
    if end != len(data):
        raise WireError("garbled data (trailing bytes)")
    return value


class _Decoder:
    """Reads tagged values."""

    def __init__(self, data: bytes, codec: Codec, shared: Shared | None) -> None:
        self.data, self.codec, self.shared = data, codec, shared

    def take(self, at: int, depth: int) -> tuple[Any, int]:
        """The value at ``at`` and the place after it."""
        data = self.data
        tag = data[at : at + 1]
        at += 1
        if tag in _CONSTANTS:
            return _CONSTANTS[tag], at
        if tag in _FIXED:
            size, code = _FIXED[tag]
            return code(data, at), at + size
        if tag in _DEEPER:
            if depth <= 0:
                raise WireError("nested too deeply")
            return _DEEPER[tag](self, tag, at, depth)
        (size,) = HEADER.unpack_from(data, at)
        at += 4
        if tag == b"R":
            return self._known(size), at
        if tag not in _SIZES or size > len(data) - at:
            raise WireError("garbled data (size)")
        return self._entered(_sized(tag, data[at : at + size])), at + size

    def _entered(self, value: Any) -> Any:
        if self.shared is not None and type(value) is bytearray:
            self.shared.enter(value)
        return value

    def _known(self, place: int) -> Any:
        if self.shared is None:
            raise WireError("garbled data (reference)")
        return self.shared.items[place]

    def built(self, tag: bytes, at: int, depth: int) -> tuple[Any, int]:
        """What the codec makes of a name and a payload."""
        shared = self.shared if tag == b"X" else None
        place = len(shared.items) if shared else 0
        if shared:
            shared.items.append(None)
        name, at = self.take(at, 0)
        payload, at = self.take(at, depth - 1)
        if type(name) is not str:
            raise WireError("garbled data (name)")
        value = self.codec.build(name, payload)
        if shared:
            shared.items[place] = value
        return value, at

    def unpacked(self, tag: bytes, at: int, depth: int) -> tuple[Any, int]:
        """A sequence of nothing but floats or small ints."""
        code = self.data[at : at + 1].decode("ascii")
        (size,) = HEADER.unpack_from(self.data, at + 1)
        at += 5
        if code not in ("q", "d") or 8 * size > len(self.data) - at:
            raise WireError("garbled data (size)")
        items = struct.unpack_from(f"<{size}{code}", self.data, at)
        if tag == b"P":
            return items, at + 8 * size
        whole = list(items)
        if self.shared is not None:
            self.shared.enter(whole)
        return whole, at + 8 * size

    def contained(self, tag: bytes, at: int, depth: int) -> tuple[Any, int]:
        """A container; a mutable one is entered before its items are read, as the encoder did."""
        (size,) = HEADER.unpack_from(self.data, at)
        at += 4
        if size > len(self.data) - at:
            raise WireError("garbled data (size)")
        whole = _EMPTY[tag]()
        if self.shared is not None and tag in b"lDS":
            self.shared.enter(whole)
        items = whole if tag == b"l" else []
        for _ in range(2 * size if tag == b"D" else size):
            value, at = self.take(at, depth - 1)
            items.append(value)
        if tag == b"l":
            return whole, at
        if tag == b"t":
            return tuple(items), at
        keys = items[::2] if tag == b"D" else items
        if len(keys) > MAX_SAME_HASH and max(Counter(map(hash, keys)).values()) > MAX_SAME_HASH:
            raise WireError("keys made to collide")
        if tag == b"Z":
            return frozenset(items), at
        whole.update(zip(keys, items[1::2], strict=True) if tag == b"D" else items)
        return whole, at


_CONSTANTS: dict[bytes, Any] = {b"N": None, b"T": True, b"F": False}
_FIXED: dict[bytes, tuple[int, Any]] = {
    b"q": (8, lambda data, at: _LONG.unpack_from(data, at)[0]),
    b"d": (8, lambda data, at: DOUBLE.unpack_from(data, at)[0]),
    b"c": (16, lambda data, at: complex(*struct.unpack_from("<dd", data, at))),
}
_SIZES = {b"i", b"s", b"b", b"a", b"r"}
_DEEPER: dict[bytes, Any] = dict.fromkeys((b"l", b"t", b"D", b"S", b"Z"), _Decoder.contained)
_DEEPER |= {b"L": _Decoder.unpacked, b"P": _Decoder.unpacked, b"x": _Decoder.built, b"X": _Decoder.built}
_EMPTY: dict[bytes, Any] = {b"l": list, b"t": tuple, b"D": dict, b"S": set, b"Z": frozenset}


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
