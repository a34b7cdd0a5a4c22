"""Flags: each is caused once, and none is there without a cause."""

import pytest

from polychromic.analysis import comparison
from polychromic.analysis.flags import proposal
from polychromic.analysis.record import CompareSettings
from polychromic.analysis.resampling import Plan
from polychromic.analysis.table import known_facts
from polychromic.core.nouns import Status, Verdict
from polychromic.records.measurements import MeasurementRow
from polychromic.records.rows import from_row, to_row

PLAN = Plan(resamples=999)


def compare(rows, *more):
    """What the stage writes for a file of these rows that says nothing about its metrics."""
    rows = [from_row(MeasurementRow, row) for row in rows]
    return to_row(comparison.compare(rows, known_facts("/nowhere/measurements.jsonl", rows), *more))


def rows(model, values, signature="pass_at_k|k:1", count=60):
    for i in range(count):
        yield {
            "model": model,
            "temperature": 1.0,
            "prompt_id": f"p{i}",
            "signature": signature,
            "numerator": values(i),
            "denominator": 1.0,
            "reason": "",
        }


def flags(measured, verdicts=()):
    judged = {(row["model"], "", 1.0, i): Verdict(Status(row["status"])) for i, row in enumerate(verdicts)}
    found = compare(measured, CompareSettings("sft", plan=PLAN), judged)["flags"]
    return {flag["kind"]: flag["text"] for flag in found}


def test_nothing_to_flag():
    measured = [*rows("sft", lambda i: i % 2), *rows("new", lambda i: (i // 2) % 2)]
    assert flags(measured) == {}


def test_intervals_from_few_prompts_are_not_to_be_believed():
    measured = [*list(rows("sft", lambda i: i % 2))[:12], *rows("new", lambda i: (i // 2) % 2)]
    assert flags(measured)["few"].startswith("12 prompts: intervals from fewer than 20 are too narrow")


def test_texts_the_encoder_cut_and_empty_ones_are_said():
    measured = [*rows("sft", lambda i: i % 2), *rows("new", lambda i: (i // 2) % 2)]
    vectors = "semantic|k:4|encoder:hashing|scope:prompt"
    counted = [row | {"detail": {"texts": 3, "empty": 1, "cut": 0}} for row in rows("sft", lambda i: i % 3, vectors)]
    counted[0]["detail"]["cut"] = 1
    found = compare([*measured, *counted], CompareSettings("sft", plan=PLAN))["flags"]
    told = {flag["text"]: flag["level"] for flag in found if flag["kind"] == "texts"}
    start = "sft at temperature 1: "
    assert told == {
        start + "under 1% of the texts are longer than the encoder reads: it compares their beginnings.": "note",
        start + "25% of the texts are empty and left out of the semantic metrics.": "warning",
    }


def test_ceiling_proposes_a_k_with_room():
    measured = [*rows("sft", lambda i: i % 2), *rows("new", lambda i: (i // 2) % 2)]
    measured += [
        *rows("sft", lambda i: 1.0 if i else 0.0, "pass_at_k|k:10"),
        *rows("new", lambda i: 1.0, "pass_at_k|k:10"),
    ]
    found = flags(measured)
    assert "pass@10 = 0.983, above 0.95" in found["ceiling"]
    assert "look at k = 1" in found["ceiling"]


def test_floor():
    measured = [*rows("sft", lambda i: float(i == 0)), *rows("new", lambda i: float(i < 30))]
    assert "too hard at every k" in flags(measured)["floor"]


@pytest.mark.parametrize(
    ("curve", "says"),
    [
        ({1: 0.97, 10: 0.99}, "too easy"),
        ({1: 0.01, 10: 0.1}, "too hard"),
        ({1: 0.1, 100: 0.9}, "measure pass@10"),
        ({1: 0.3, 5: 0.7, 10: 0.96}, "k = 5"),
    ],
)
def test_proposals(curve, says):
    assert says in proposal(curve)


def test_few_discordant_prompts():
    measured = [*rows("sft", lambda i: i % 2), *rows("new", lambda i: i % 2 if i > 6 else 1.0)]
    assert "fewer than 20 of 60 prompts differ in pass@1 (4)" in flags(measured)["discordant"]


def test_absent_verdicts_and_truncation():
    measured = [*rows("sft", lambda i: i % 2), *rows("new", lambda i: (i // 2) % 2)]
    measured += [*rows("sft", lambda i: 0.3, "truncated"), *rows("new", lambda i: 0.0, "truncated")]
    judged = [{"model": "new", "status": status} for status in ("passed", "absent", "absent")]
    found = flags(measured, judged)
    assert found["absent"] == "new: 2 of 3 samples have no verdict."
    assert "30% of the samples were cut off" in found["truncation"]
