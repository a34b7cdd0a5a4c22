"""The built-in data that an instance of a subclass holds: an IntEnum's int, a named tuple's tuple."""

from __future__ import annotations

from typing import Any

_CONTENT: dict[type, Any] = {
    int: lambda value: int.__add__(value, 0),
    float: lambda value: float.__add__(value, -0.0),
    complex: lambda value: complex.__add__(value, -0j),
    str: lambda value: str.__add__(value, ""),
    bytes: lambda value: bytes.__getitem__(value, slice(None)),
    bytearray: lambda value: bytearray.__getitem__(value, slice(None)),
    list: lambda value: list.__getitem__(value, slice(None)),
    tuple: lambda value: tuple.__getitem__(value, slice(None)),
    dict: dict.copy,
    set: lambda value: set(set.__iter__(value)),
    frozenset: lambda value: frozenset(frozenset.__iter__(value)),
}


def base_of(kind: type) -> type | None:
    """The built-in type that instances of ``kind`` hold the data of (IntEnum: int, a named tuple: tuple), or None."""
    return next((base for base in kind.__mro__ if base in _CONTENT), None)


def content(value: Any, base: type) -> Any:
    """The data of ``value`` as an exact ``base``, whatever methods its own class overrides."""
    return _CONTENT[base](value)
