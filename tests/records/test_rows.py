"""Every file of ours is read into nouns: what was written comes back, and a damaged file is one line, never a crash."""

import enum
import json
import math
import random
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest

from polychromic.analysis.comparison import compare
from polychromic.analysis.controls import Audit, Rate
from polychromic.analysis.cost import Cost, EvaluationCost, SampleCounts, StageRow, sampling_account
from polychromic.analysis.record import CompareSettings, read_comparison
from polychromic.analysis.resampling import Plan
from polychromic.analysis.table import known_facts
from polychromic.core.errors import InputError, RecordError
from polychromic.core.facts import MetricFacts, Role
from polychromic.core.nouns import Completion, Decoding, Measurement, Message, Prompt, SampleSet, Status, Verdict
from polychromic.records import costs
from polychromic.records.artefacts import RunFolder
from polychromic.records.evaluation import EvaluationFolder, EvaluationRecord
from polychromic.records.jsonl import write_json, write_rows
from polychromic.records.logs import read_logs, rows_until
from polychromic.records.measurements import (
    MeasurementRow,
    MeasurementsRecord,
    StoredMeasurement,
    measurement_row,
    read_measurements,
    read_record,
)
from polychromic.records.rows import FloatOrNaN, from_row, read_noun, read_nouns, to_row
from polychromic.records.samples import read_sets, sample_rows, store
from polychromic.records.verdicts import read_verdict_rows, verdict_keys, verdict_row
from polychromic.reporting.page import write_report


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
        ({"more": {"k": 3}}, "more: 'k': expected an object, got a number"),
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


def run_record(path):
    facts = {"settings_hash": "0" * 16, "settings": {"polychromic": {"lambda": 1.0}, "lora": None}, "seconds": 3.5}
    write_json(path, facts | {"started": "now", "finished": None, "wandb": {"id": "x", "mode": "offline"}, "more": 1})


def logs(path):
    write_rows(path, [{"step": step, "loss": 2.0, "epoch": 1, "note": "x"} for step in (1, 2, 3)])


def evaluation(path):
    pins = {"base": "b", "task": {"kind": "countdown"}, "seed": 0}
    record = EvaluationRecord(pins, {"sft": "0"}, {"audit": "1"}, {"m.py": "2"}, {"torch": "2"}, "abc", 2.5)
    write_json(path, record)


def measured(path):
    facts = MetricFacts("distinct|n:2", "distinct", "Distinct-2", Role.DIVERSITY, 1, 4, {"n": "2"})
    write_json(path, MeasurementsRecord((facts, "older|k:1"), "0" * 16, {"torch": "2"}))


def account(path):
    counted = {"sft": SampleCounts(9, 9, 5, 9, 1.0), "new": SampleCounts(9, 0, 0, 4, 1.0)}
    rows = sampling_account({name: Cost("sample", 30, 60.0) for name in counted}, counted, "sft")
    write_json(path, EvaluationCost(None, tuple(rows), (StageRow("sample", "cpu", 2.0, 1.0, math.nan),)))


def audit(path):
    rates = (Rate("empty", 1, 2, 0, (("p", "text"),)), Rate("right answer", 2, 2, 0))
    write_json(path, Audit("countdown", rates, ("warned",), {"sft": 0.5}, ("noted",)))


def comparison(path):
    outcomes = {"sft": (0, 1, 0, 1, 0, 1), "new": (1, 1, 0, 1, 1, 1)}
    rows = [
        MeasurementRow(model, temperature, f"p{i}", signature, value * shift)
        for model, values in outcomes.items()
        for temperature, shift in ((0.7, 1.0), (1.0, 1.0))
        for signature in ("pass_at_k|k:1", "distinct_correct|k:4")
        for i, value in enumerate(values)
    ]
    judged = {
        (model, f"p{i}", 1.0, j): Verdict(Status.PASSED if value else Status.FAILED)
        for model, values in outcomes.items()
        for i, value in enumerate(values)
        for j in range(2)
    }
    facts = known_facts("/nowhere/measurements.jsonl", rows)
    write_json(path, compare(rows, facts, CompareSettings("sft", plan=Plan(50)), judged, {"torch": "2"}))


FILES = {
    "samples.jsonl": (samples, read_sets),
    "verdicts.jsonl": (verdicts, read_verdict_rows),
    "measurements.jsonl": (measurements, read_measurements),
    "measurements.json": (measured, lambda path: read_record(path.with_suffix(".jsonl"))),
    "costs.jsonl": (timings, lambda path: costs.read_costs(path.parent)),
    "run.json": (run_record, lambda path: RunFolder(path.parent).record()),
    "metrics.jsonl": (logs, read_logs),
    "training_samples.jsonl": (logs, lambda path: rows_until(path, 2)),
    "evaluation.json": (evaluation, lambda path: EvaluationFolder(path.parent).record()),
    "cost.json": (account, lambda path: read_noun(path, EvaluationCost)),
    "audit.json": (audit, lambda path: read_noun(path, Audit)),
    "comparison.json": (comparison, read_comparison),
}
"""Every file of ours: how a whole one is written, and how it is read."""

MOST_SPOTS = 40
WRONG = (None, True, -1, 2.5, 10**400, "secret", "", [], ["secret"], [[1]], {}, {"other": None})


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
    spots = [(number, path) for number, row in enumerate(rows) for path in places(row)]
    for number, path in random.Random(1).sample(spots, min(MOST_SPOTS, len(spots))):
        for new in (..., *WRONG):
            changed = [*rows[:number], damaged(rows[number], path, new), *rows[number + 1 :]]
            yield "".join(json.dumps(each) + "\n" for each in changed).encode()


@pytest.mark.filterwarnings("ignore:.*the last row was cut off by a crash")
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
    assert total > 100
    assert refused > total / 6, "the damage should be seen"


def test_a_value_that_is_missing_without_a_reason_is_refused_when_it_is_written():
    with pytest.raises(InputError, match="x: a value is missing and no reason is given"):
        measurement_row(StoredMeasurement("sft", 1.0, Measurement("p", "x", math.nan)))


def test_a_report_of_a_damaged_comparison_is_written_or_refused_in_one_line(tmp_path, monkeypatch):
    """No damage that the reader lets pass may end the report in a traceback."""
    monkeypatch.setattr("polychromic.reporting.figures.draw", lambda *_: [])
    path, reasons = tmp_path / "comparison.json", []
    comparison(path)
    raw, written, total = json.loads(path.read_bytes()), 0, 0
    ways = [(spot, new) for spot in places(raw) for new in (..., *WRONG)]
    for spot, new in random.Random(2).sample(ways, 60):
        path.write_text(json.dumps(damaged(raw, spot, new)))
        total += 1
        try:
            write_report(tmp_path)
            written += 1
        except RecordError as error:
            reasons.append(str(error))
    assert 0 < written < total
    assert not any("\n" in reason for reason in reasons)
