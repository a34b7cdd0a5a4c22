"""The standard library's types that cross, rebuilt exactly on the other side; and numpy's arrays where it is offered.

A closed list: a type that is not here crosses as an object of the program's own, if at all.
"""

from __future__ import annotations

import builtins
import collections
import datetime
import decimal
import fractions
import io
import sys
from collections.abc import Callable
from typing import Any

from polychromic.sandbox.wire import WireError

_EXCEPTIONS = [kind for kind in vars(builtins).values() if isinstance(kind, type) and issubclass(kind, BaseException)]
_KINDS: list[type] = [object, type, type(None), bool, int, float, complex, str, bytes, bytearray, list, tuple, dict]
_KINDS += [set, frozenset, range, slice, collections.deque, collections.OrderedDict, collections.defaultdict]
_KINDS += [collections.Counter, fractions.Fraction, decimal.Decimal, datetime.date, datetime.datetime, datetime.time]
_KINDS += [datetime.timedelta, datetime.timezone, *_EXCEPTIONS]
TYPES = {f"{kind.__module__}.{kind.__qualname__}": kind for kind in _KINDS}
"""Classes that cross as themselves, by name."""
NAMES = {kind: name for name, kind in TYPES.items()}

_MODULES = """
abc array bisect builtins cmath collections contextlib copy dataclasses datetime decimal enum fractions functools heapq
io itertools json math numbers numpy operator random re statistics string textwrap time types typing
"""
MODULES = frozenset(_MODULES.split())
"""Modules that tests may take for granted because the program imports them; they get their own copy."""

Parts = Callable[[Any], Any]
_NUMPY_KINDS = frozenset("biufcSUmM")


def _zone(zone: Any) -> Any:
    if zone is not None and type(zone) is not datetime.timezone:
        raise LookupError("a time zone that is no fixed offset")
    return zone


def _clock(value: Any) -> tuple[Any, ...]:
    return value.hour, value.minute, value.second, value.microsecond, _zone(value.tzinfo), value.fold


def _at(*parts: Any) -> datetime.datetime:
    return datetime.datetime(*parts[:-1], fold=parts[-1])


def _at_time(*parts: Any) -> datetime.time:
    return datetime.time(*parts[:-1], fold=parts[-1])


def _default(factory: Any, items: dict[Any, Any]) -> Any:
    return collections.defaultdict(factory, items)


def _text(value: str, place: int) -> io.StringIO:
    stream = io.StringIO(value, newline="")
    stream.seek(place)
    return stream


def _stream(value: bytes, place: int) -> io.BytesIO:
    stream = io.BytesIO(value)
    stream.seek(place)
    return stream


_EMPTY: dict[Any, Any] = {}
_keys, _values, _items = type(_EMPTY.keys()), type(_EMPTY.values()), type(_EMPTY.items())
# type -> (the arguments that rebuild an instance, what rebuilds it, the arguments' types)
_TABLE: dict[type, tuple[Parts, Callable[..., Any], tuple[Any, ...]]] = {
    collections.deque: (lambda v: ([*v], v.maxlen), collections.deque, (list, (int, type(None)))),
    collections.OrderedDict: (lambda v: (dict(v),), collections.OrderedDict, (dict,)),
    collections.Counter: (lambda v: (dict(v),), collections.Counter, (dict,)),
    collections.defaultdict: (
        lambda v: (v.default_factory if v.default_factory in NAMES else None, dict(v)),
        _default,
        ((type, type(None)), dict),
    ),
    fractions.Fraction: (lambda v: (v.numerator, v.denominator), fractions.Fraction, (int, int)),
    decimal.Decimal: (lambda v: (str(v),), decimal.Decimal, (str,)),
    datetime.date: (lambda v: (v.year, v.month, v.day), datetime.date, (int,) * 3),
    datetime.datetime: (
        lambda v: (v.year, v.month, v.day, *_clock(v)),
        _at,
        (*(int,) * 7, (datetime.timezone, type(None)), int),
    ),
    datetime.time: (_clock, _at_time, (*(int,) * 4, (datetime.timezone, type(None)), int)),
    datetime.timedelta: (lambda v: (v.days, v.seconds, v.microseconds), datetime.timedelta, (int,) * 3),
    datetime.timezone: (lambda v: (v.utcoffset(None),), datetime.timezone, (datetime.timedelta,)),
    slice: (lambda v: (v.start, v.stop, v.step), slice, (object,) * 3),
    type(...): (lambda v: (), lambda: ..., ()),
    type(NotImplemented): (lambda v: (), lambda: NotImplemented, ()),
    memoryview: (lambda v: (v.tobytes(),), memoryview, (bytes,)),
    io.StringIO: (lambda v: (v.getvalue(), v.tell()), _text, (str, int)),
    io.BytesIO: (lambda v: (v.getvalue(), v.tell()), _stream, (bytes, int)),
    _keys: (lambda v: (dict.fromkeys(v),), dict.keys, (dict,)),
    _values: (lambda v: (dict(enumerate(v)),), dict.values, (dict,)),
    _items: (lambda v: (dict(v),), dict.items, (dict,)),
}
_DICTS = (collections.OrderedDict, collections.Counter, collections.defaultdict)
_MUTABLE = {collections.deque, *_DICTS, io.StringIO, io.BytesIO}
_NAMED = {f"{kind.__module__}.{kind.__qualname__}": kind for kind in _TABLE}
_NAME_OF = {kind: name for name, kind in _NAMED.items()}


def is_mutable(kind: type) -> bool:
    """Whether a program may change an instance of this listed type in place."""
    return kind in _MUTABLE or (kind.__module__ == "numpy" and kind.__name__ == "ndarray")


def describe(value: Any) -> tuple[str, Any] | None:
    """Name and payload of an instance of a listed type, of a listed class or of numpy's; None for anything else."""
    kind = type(value)
    if kind in _TABLE:
        try:
            return _NAME_OF[kind], _TABLE[kind][0](value)
        except LookupError:
            return None
    if kind is type and value in NAMES:
        return "type", NAMES[value]
    if kind.__module__ == "numpy" and hasattr(value, "dtype") and value.dtype.kind in _NUMPY_KINDS:
        scalar = kind.__name__ != "ndarray"
        return "numpy", (value.dtype.str, value.shape, value.tobytes(), scalar)
    return None


def build(name: str, payload: Any) -> Any:
    """The value that was described, None when the name is none of ours.

    Raises:
        WireError: the payload is not what ``describe`` gives.
    """
    try:
        if name == "type":
            return TYPES[payload]
        if name == "numpy":
            return _array(*payload)
        if name not in _NAMED:
            return None
        _, construct, expected = _TABLE[_NAMED[name]]
        if len(payload) != len(expected) or not all(map(isinstance, payload, expected)):
            raise WireError("garbled data (parts)")
        return construct(*payload)
    except (ValueError, TypeError, KeyError, ArithmeticError) as error:
        raise WireError(f"garbled data ({type(error).__name__})") from error


def _array(code: str, shape: tuple[int, ...], data: bytes, scalar: bool) -> Any:
    """An array; where numpy is not offered only a scalar, as the plain number it is."""
    numpy = sys.modules.get("numpy")
    if numpy is None or len(code) > 20 or len(shape) > 32:
        raise WireError("an array where numpy is not offered")
    dtype = numpy.dtype(code)
    if dtype.kind not in _NUMPY_KINDS or type(data) is not bytes:
        raise WireError("garbled data (array)")
    array = numpy.frombuffer(data, dtype).reshape(shape).copy()
    return array[()] if scalar else array


def held_by(item: Any) -> Any:
    """The content of a list, dict, set, bytearray or an instance of a mutable type, as a fresh built-in."""
    if isinstance(item, io.StringIO | io.BytesIO):
        return item.getvalue(), item.tell()
    if isinstance(item, dict):
        return dict(item)
    return list(item) if isinstance(item, list | collections.deque) else item.copy()


def refill(item: Any, content: Any) -> None:
    """Gives ``item`` another content, as from ``held_by``.

    Raises:
        WireError: it is none for this type.
    """
    try:
        if isinstance(item, io.StringIO | io.BytesIO):
            text, place = content
            item.seek(0)
            item.truncate()
            item.write(text)
            item.seek(place)
        elif isinstance(item, list | bytearray) and type(content) is type(item):
            item[:] = content
        elif hasattr(item, "dtype"):
            if (content.shape, content.dtype) != (item.shape, item.dtype):
                raise WireError("garbled data (content)")
            item[...] = content
        elif type(content) is (dict if isinstance(item, dict) else set if isinstance(item, set) else list):
            item.clear()
            item.extend(content) if isinstance(item, collections.deque) else item.update(content)
        else:
            raise WireError("garbled data (content)")
    except (TypeError, ValueError, AttributeError) as error:
        raise WireError("garbled data (content)") from error


class Plain:
    """The codec of built-ins and listed types."""

    is_mutable = staticmethod(is_mutable)

    def describe(self, value: Any) -> tuple[str, Any] | None:
        """As ``describe``."""
        return describe(value)

    def build(self, name: str, payload: Any) -> Any:
        """As ``build``; refuses any other name."""
        value = build(name, payload)
        if value is None:
            raise WireError("garbled data (name)")
        return value


PLAIN = Plain()
