"""The encoding: everything plain survives, nothing else does, and no bytes whatever can do harm."""

from __future__ import annotations

import collections
import enum
import math
import os
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from polychromic.sandbox import frames, wire

SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(2**200), 2**200)
    | st.floats(allow_nan=False)
    | st.complex_numbers(allow_nan=False)
    | st.text(st.characters(codec=None))
    | st.binary()
    | st.builds(range, st.integers(-9, 9), st.integers(-9, 9), st.integers(1, 9))
)
KEYS = st.none() | st.booleans() | st.integers() | st.text() | st.binary()
VALUES = st.recursive(
    SCALARS | st.binary().map(bytearray) | st.sets(KEYS) | st.frozensets(KEYS),
    lambda inner: st.lists(inner) | st.lists(inner).map(tuple) | st.dictionaries(KEYS, inner),
    max_leaves=8,
)


def types_of(value: Any) -> Any:
    if isinstance(value, list | tuple):
        return type(value), [types_of(item) for item in value]
    if isinstance(value, dict):
        return type(value), [(types_of(key), types_of(item)) for key, item in value.items()]
    return type(value)


@given(VALUES)
@settings(max_examples=60, deadline=None)
def test_plain_data_survives_with_its_types(value: Any) -> None:
    back = wire.decode(wire.encode(value))
    assert back == value
    assert types_of(back) == types_of(value)


def test_numbers_that_equal_others_keep_their_identity() -> None:
    back = wire.decode(wire.encode([-0.0, math.nan, math.inf, 1, 1.0, True, "\ud800\0"]))
    assert math.copysign(1, back[0]) == -1
    assert math.isnan(back[1])
    assert [type(item) for item in back[3:6]] == [int, float, bool]
    assert back[6] == "\ud800\0"


def data_or_reason(code: bytes) -> bool:
    """Whether the bytes are plain data, which survives another crossing, or are refused with a reason."""
    try:
        value = wire.decode(code)
    except wire.WireError as error:
        return str(error) != ""
    return bool(types_of(wire.decode(wire.encode(value))) == types_of(value))


@given(st.binary(max_size=200))
@settings(max_examples=200, deadline=None)
def test_any_bytes_are_data_or_an_error(data: bytes) -> None:
    assert data_or_reason(data)


@given(VALUES, st.data())
@settings(max_examples=60, deadline=None)
def test_damaged_encodings_are_data_or_an_error(value: Any, data: st.DataObject) -> None:
    code = bytearray(wire.encode(value))
    place = data.draw(st.integers(0, len(code) - 1))
    code[place] = data.draw(st.integers(0, 255))
    assert data_or_reason(bytes(code[: data.draw(st.integers(0, len(code)))]))


@pytest.mark.parametrize("value", [object(), len, iter([]), Exception("x"), type, collections.deque([1]), ...])
def test_what_is_not_plain_data_is_refused(value: Any) -> None:
    with pytest.raises(wire.WireError, match="not plain data"):
        wire.encode([value])


def test_instances_of_subclasses_are_sent_as_what_they_hold() -> None:
    class Liar(list):  # type: ignore[type-arg]
        def __eq__(self, other: object) -> bool:
            return True

        def __len__(self) -> int:
            return 3

        def __iter__(self) -> Any:
            return iter("lie")

    class Colour(enum.IntEnum):
        RED = 3

    point = collections.namedtuple("point", "x y")(1, 2)
    values = [Liar([5]), Colour.RED, point, collections.Counter("aab"), collections.OrderedDict(a=1)]
    back = wire.decode(wire.encode(values))
    assert back == [[5], 3, (1, 2), {"a": 2, "b": 1}, {"a": 1}]
    assert [type(item) for item in back] == [list, int, tuple, dict, dict]


def test_cycles_and_depth_are_refused_on_both_sides() -> None:
    cycle: list[Any] = []
    cycle.append(cycle)
    with pytest.raises(wire.WireError, match="too deeply"):
        wire.encode(cycle)
    deep = b"l\x01\x00\x00\x00" * 200 + b"N"
    with pytest.raises(wire.WireError, match="too deeply"):
        wire.decode(deep)
    assert wire.decode(deep, 200) is not None


@pytest.mark.parametrize("value", ["x" * 100, list(range(100)), 1 << 1000, [[0] * 9] * 9])
def test_the_byte_limit_holds(value: Any) -> None:
    with pytest.raises(wire.TooLargeError):
        wire.encode(value, limit=90)
    assert wire.decode(wire.encode(value, limit=10_000)) == value


@pytest.mark.parametrize("container", [set, frozenset, dict.fromkeys])
def test_keys_made_to_collide_are_refused(container: Any) -> None:
    modulus = 2**61 - 1
    code = bytearray(wire.encode(container([0])))
    keys = b"".join(wire.encode(i * modulus) + (b"N" if container == dict.fromkeys else b"") for i in range(1, 50_001))
    code[1:] = (50_000).to_bytes(4, "little") + keys
    with pytest.raises(wire.WireError, match="collide"):  # building the container would take minutes
        wire.decode(bytes(code))
    assert wire.decode(wire.encode(container([-1, -2, *range(1000)]))) == container([-1, -2, *range(1000)])


def test_frames_end_cleanly_or_not_at_all() -> None:
    reader, writer = os.pipe()
    try:
        frames.send(writer, b"abc")
        assert frames.receive(reader, 3) == b"abc"
        frames.send(writer, b"abcd")
        with pytest.raises(frames.LongError):
            frames.receive(reader, 3)
        assert os.read(reader, 4) == b"abcd"
        os.write(writer, b"ab")
        os.close(writer)
        with pytest.raises(frames.GoneError):
            frames.receive(reader, 2**30)
    finally:
        os.close(reader)


def test_writing_to_nobody_is_noticed() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    with pytest.raises(frames.GoneError):
        frames.send(writer, b"x")
    os.close(writer)
