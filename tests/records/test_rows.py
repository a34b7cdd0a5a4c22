"""Every file of ours is read into nouns: what was written comes back, and a damaged file is one line, never a crash."""

import enum
import json
import math
import random
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest

from polychromic.core.errors import InputError, RecordError
from polychromic.core.nouns import Completion, Decoding, Measurement, Message, Prompt, SampleSet, Status, Verdict
from polychromic.records import costs
from polychromic.records.jsonl import write_json, write_rows
from polychromic.records.measurements import StoredMeasurement, measurement_row, read_measurements
from polychromic.records.rows import FloatOrNaN, from_row, read_noun, read_nouns, to_row
from polychromic.records.samples import read_sets, sample_rows, store
from polychromic.records.verdicts import read_verdicts, verdict_keys, verdict_row


class Colour(enum.StrEnum):
    RED = "red"


@dataclass(frozen=True)
class Inner:
    low: FloatOrNaN
    names: tuple[str, ...] = ()


@dataclass(frozen=True)
class Outer:
    name: str
    size: int
    share: float
    sure: bool
    colour: Colour
    span: tuple[FloatOrNaN, FloatOrNaN]
    inner: Inner
    more: Mapping[str, Inner] = field(default_factory=dict)
    several: tuple[Inner, ...] = ()
    perhaps: float | None = None
    text_or_number: str | float = ""
    anything: Any = None


WHOLE = Outer(
    "a", 3, 0.5, True, Colour.RED, (1.0, math.nan), Inner(2.0, ("x",)), {"k": Inner(1.0)}, (Inner(0.0),), 2.0, 1.5, [1]
)


def test_a_noun_comes_back_as_it_was_written(tmp_path):
    write_json(tmp_path / "noun.json", to_row(WHOLE))
    write_rows(tmp_path / "nouns.jsonl", [WHOLE, WHOLE])
    found = read_noun(tmp_path / "noun.json", Outer)
    assert repr(found) == repr(WHOLE)
    assert [line for line, _ in read_nouns(tmp_path / "nouns.jsonl", Outer)] == [1, 2]
    assert json.loads((tmp_path / "noun.json").read_text())["span"] == [1.0, None]


def test_what_is_not_known_is_passed_over_and_a_default_may_be_missing():
    row = to_row(WHOLE) | {"newer": 1}
    for name in ("more", "several", "perhaps", "text_or_number", "anything"):
        del row[name]
    assert from_row(Outer, row).perhaps is None


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"name": 1}, "name: expected a string, got a number"),
        ({"size": True}, "size: expected a whole number, got a boolean"),
        ({"size": 1.0}, "size: expected a whole number, got a number"),
        ({"share": None}, "share: expected a number, got null"),
        ({"share": 10**400}, "share: the number is too large"),
        ({"sure": 1}, "sure: expected true or false, got a number"),
        ({"colour": "blue"}, "colour: expected one of red"),
        ({"colour": []}, "colour: expected one of red"),
        ({"span": [1.0]}, "span: expected an array of 2, got an array"),
        ({"inner": {"names": []}}, "inner: the row has no 'low'"),
        ({"inner": {"low": None, "names": ["a", 1]}}, "inner: names: 1: expected a string, got a number"),
        ({"more": {"k": 3}}, "more: k: expected an object, got a number"),
        ({"several": [{"low": "secret"}]}, "several: 0: low: expected a number, got a string"),
        ({"perhaps": "x"}, "perhaps: expected a number, got a string"),
        ({"text_or_number": []}, "text_or_number: expected a number, got an array"),
    ],
)
def test_a_wrong_field_is_named_by_its_path_without_what_it_holds(change, reason):
    with pytest.raises(ValueError, match=f"^{reason}$"):
        from_row(Outer, to_row(WHOLE) | change)


def test_a_type_that_no_row_can_hold_is_the_programmers_mistake():
    @dataclass
    class Odd:
        value: set[str]

    with pytest.raises(TypeError, match="no row can hold"):
        from_row(Odd, {"value": []})


# The damage that a disk, an editor or another program does, to every file of ours.

CHAT = Prompt("p1", (Message("user", "Say hi."),), {"numbers": [1, 2], "gold": "4"})
DRAWN = store(
    [SampleSet(CHAT, (Completion("a", (1, 2), True, -1.5), Completion("b")), Decoding(temperature=0.7), "sft")], "x", 3
)


def samples(path):
    write_rows(path, [row for stored in DRAWN for row in sample_rows(stored)])


def verdicts(path):
    found = (Verdict(Status.PASSED, "", "4"), Verdict(Status.ABSENT, "no answer"))
    write_rows(path, map(verdict_row, verdict_keys(DRAWN[0]), found))


def measurements(path):
    good = Measurement("p1", "distinct|n:2", 3.0, 4.0, detail={"unique": 3})
    lost = Measurement("p2", "pass@k|k:8", math.nan, math.nan, "4 samples, k is 8")
    write_rows(path, [measurement_row(StoredMeasurement("sft", 0.7, each)) for each in (good, lost)])


def timings(path):
    costs.append(path.parent, [costs.TimingRow("load", 1.5, 0.5), *costs.drawn(DRAWN, (2.0, 1.0), "cpu")])


FILES = {
    "samples.jsonl": (samples, read_sets),
    "verdicts.jsonl": (verdicts, read_verdicts),
    "measurements.jsonl": (measurements, read_measurements),
    "costs.jsonl": (timings, lambda path: costs.read_costs(path.parent)),
}
"""Every file of ours: how a whole one is written, and how it is read."""

WRONG = (None, True, -1, 2.5, 10**400, "secret", "", [], ["secret"], [[1]], {}, {"secret": None})


def places(value, path=()):
    """The path of everything inside a JSON value."""
    inside = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, each in inside:
        yield (*path, key)
        yield from places(each, (*path, key))


def damaged(value, path, new):
    """A copy with something else at ``path``; without it when ``new`` is Ellipsis."""
    copy = json.loads(json.dumps(value))
    spot = copy
    for key in path[:-1]:
        spot = spot[key]
    if new is ...:
        del spot[path[-1]]
    else:
        spot[path[-1]] = new
    return copy


def ways_to_damage(raw, name):
    """Bytes of the file after each kind of damage."""
    for cut in sorted(random.Random(0).sample(range(len(raw)), min(60, len(raw)))):
        yield raw[:cut]
        yield raw[:cut] + b"\xff" + raw[cut + 1 :]
    rows = [json.loads(raw)] if name.endswith(".json") else [json.loads(line) for line in raw.splitlines()]
    for number, row in enumerate(rows):
        for path in places(row):
            for new in (..., *WRONG):
                changed = [*rows[:number], damaged(row, path, new), *rows[number + 1 :]]
                yield "".join(json.dumps(each) + "\n" for each in changed).encode()


@pytest.mark.parametrize("name", FILES)
def test_a_damaged_file_of_ours_is_one_line_that_names_it(name, tmp_path):
    write, read = FILES[name]
    path = tmp_path / name
    write(path)
    read(path)
    raw, refused, total = path.read_bytes(), 0, 0
    for content in ways_to_damage(raw, name):
        path.write_bytes(content)
        total += 1
        try:
            read(path)
        except RecordError as error:
            refused += 1
            said = str(error)
            assert said.startswith(str(path)), said
            assert "\n" not in said, said
            assert "secret" not in said, said
    assert total > 300
    assert refused > total / 4, "the damage should be seen"


def test_a_value_that_is_missing_without_a_reason_is_refused_when_it_is_written():
    with pytest.raises(InputError, match="x: a value is missing and no reason is given"):
        measurement_row(StoredMeasurement("sft", 1.0, Measurement("p", "x", math.nan)))
