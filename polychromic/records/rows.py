"""Every row of ours is a frozen dataclass: ``to_row`` writes it, ``from_row`` reads it by the types of its fields.

What a field may hold: ``str``, ``bool``, ``int``, ``float`` (finite), ``FloatOrNaN``, ``Any``, an enum, a dataclass, a
section of the settings, a tuple, a ``Mapping`` with string keys, or a union of these. A field with a default may be
missing; fields that are not known are passed over, so that a file of a newer version can be read.
"""

from __future__ import annotations

import enum
import math
import types
from collections.abc import Callable, Iterator, Mapping
from dataclasses import MISSING, fields, is_dataclass
from functools import cache
from pathlib import Path
from typing import Annotated, Any, TypeVar, Union, cast, get_args, get_origin, get_type_hints

from polychromic.core.errors import RecordError
from polychromic.records.jsonl import Row, read_json, read_log, read_rows, to_jsonable

FloatOrNaN = Annotated[float, "NaN, written as null"]
"""A number that may not exist; JSON has no NaN, so a file holds null for it."""

Noun = TypeVar("Noun")
_Decode = Callable[[Any], Any]


def to_row(noun: Any) -> Row:
    """The noun's fields as JSON can say them: NaN as null, tuples as lists, nested nouns as objects."""
    return cast(Row, to_jsonable(noun))


def from_row(kind: type[Noun], row: Any) -> Noun:
    """The noun that a row holds.

    Raises:
        ValueError: the path to the field that is missing or wrong, without what it holds.
    """
    return cast(Noun, _decoder(cast(Any, kind))(row))


def noun(place: str, kind: type[Noun], row: Any) -> Noun:
    """``from_row`` of a row that stands at ``place``, "file" or "file:line".

    Raises:
        RecordError: ``place: reason`` when the row holds none.
    """
    try:
        return from_row(kind, row)
    except ValueError as error:
        raise RecordError(f"{place}: {error}") from None


def read_nouns(path: str | Path, kind: type[Noun]) -> Iterator[tuple[int, Noun]]:
    """Each row of a JSONL file as a noun, with its line number.

    Raises:
        RecordError: ``file:line: reason`` for the first row that is none.
        MissingResourceError: there is no such file.
    """
    for line, row in read_rows(path):
        yield line, noun(f"{path}:{line}", kind, row)


def log_nouns(path: str | Path, kind: type[Noun]) -> Iterator[tuple[int, Noun]]:
    """Like ``read_nouns``, of a log of ours: a torn last line is left out with a warning."""
    for line, row in read_log(path):
        yield line, noun(f"{path}:{line}", kind, row)


def read_noun(path: str | Path, kind: type[Noun]) -> Noun:
    """The one noun that a JSON file holds.

    Raises:
        RecordError: ``file: reason`` when it holds none.
        MissingResourceError: there is no such file.
    """
    return noun(str(path), kind, read_json(path))


@cache
def _decoder(hint: Any) -> _Decode:
    if hint is Any:
        return lambda value: value
    if hint is FloatOrNaN:
        return lambda value: math.nan if value is None else _float(value)
    if hint in (float, str, bool, int):
        return _float if hint is float else _exactly(hint)
    if is_dataclass(hint):
        return _dataclass(hint)
    if isinstance(hint, type) and issubclass(hint, enum.Enum):
        return _enum(hint)
    if hasattr(hint, "model_validate"):
        return _section(hint)
    origin, inner = get_origin(hint), get_args(hint)
    if origin in (Union, types.UnionType):
        return _union([_decoder(each) for each in inner if each is not type(None)], type(None) in inner)
    if origin is tuple:
        return _sequence(inner[0]) if inner[-1] is ... else _fixed([_decoder(each) for each in inner])
    if isinstance(origin, type) and issubclass(origin, Mapping):
        return _mapping(_decoder(inner[1]))
    raise TypeError(f"no row can hold a {hint}")


def _dataclass(kind: Any) -> _Decode:
    hints = get_type_hints(kind, include_extras=True)
    parts = [
        (each.name, _decoder(hints[each.name]), each.default is MISSING and each.default_factory is MISSING)
        for each in fields(kind)
    ]

    def decode(value: Any) -> Any:
        _expect(isinstance(value, Mapping), "an object", value)
        found = {}
        for name, part, needed in parts:
            if name in value:
                found[name] = _within(name, part, value[name])
            elif needed:
                raise ValueError(f"the row has no {name!r}")
        return kind(**found)

    return decode


def _section(kind: Any) -> _Decode:
    """A section of the settings, which checks itself; of what it finds the first."""

    def decode(value: Any) -> Any:
        _expect(isinstance(value, Mapping), "an object", value)
        try:
            return kind.model_validate(value, extra="ignore")
        except ValueError as error:
            first = error.errors()[0]  # type: ignore[attr-defined]
            raise ValueError(": ".join([*map(str, first["loc"]), first["msg"]])) from None

    return decode


def _exactly(kind: type) -> _Decode:
    said = {str: "a string", bool: "true or false", int: "a whole number"}[kind]

    def decode(value: Any) -> Any:
        _expect(type(value) is kind, said, value)
        return value

    return decode


def _float(value: Any) -> float:
    _expect(isinstance(value, int | float) and not isinstance(value, bool), "a number", value)
    try:
        found = float(value)
    except OverflowError:
        found = math.inf
    if not math.isfinite(found):
        raise ValueError("the number is too large")
    return found


def _enum(kind: type[enum.Enum]) -> _Decode:
    allowed = {each.value: each for each in kind}

    def decode(value: Any) -> Any:
        if not isinstance(value, str | int) or value not in allowed:
            raise ValueError(f"expected one of {', '.join(map(str, allowed))}")
        return allowed[value]

    return decode


def _union(choices: list[_Decode], optional: bool) -> _Decode:
    def decode(value: Any) -> Any:
        if value is None and optional:
            return None
        reasons = []
        for choice in choices:
            try:
                return choice(value)
            except ValueError as error:
                reasons.append(error)
        raise reasons[0 if isinstance(value, Mapping) else -1]

    return decode


def _sequence(hint: Any) -> _Decode:
    part = _decoder(hint)
    cheap = {hint} if hint in (str, int, bool) else None  # token ids: one look at all types

    def decode(value: Any) -> tuple[Any, ...]:
        _expect(isinstance(value, list | tuple), "an array", value)
        if cheap is not None and set(map(type, value)) <= cheap:
            return tuple(value)
        return tuple(_within(str(place), part, each) for place, each in enumerate(value))

    return decode


def _fixed(parts: list[_Decode]) -> _Decode:
    def decode(value: Any) -> tuple[Any, ...]:
        _expect(isinstance(value, list | tuple) and len(value) == len(parts), f"an array of {len(parts)}", value)
        return tuple(
            _within(str(place), part, each) for place, (part, each) in enumerate(zip(parts, value, strict=True))
        )

    return decode


def _mapping(part: _Decode) -> _Decode:
    def decode(value: Any) -> dict[str, Any]:
        _expect(isinstance(value, Mapping), "an object", value)
        return {str(name): _within(repr(name)[:60], part, each) for name, each in value.items()}

    return decode


def _within(name: str, part: _Decode, value: Any) -> Any:
    try:
        return part(value)
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from None


def _expect(right: bool, wanted: str, value: Any) -> None:
    if not right:
        raise ValueError(f"expected {wanted}, got {_KINDS.get(type(value), 'something else')}")


_KINDS = {
    dict: "an object",
    list: "an array",
    str: "a string",
    int: "a number",
    float: "a number",
    bool: "a boolean",
    type(None): "null",
}
