"""Other people's benchmarks: rows of the published forms pass with their gold, stubs fail, bad rows are named."""

from __future__ import annotations

import gzip
import json
import pickle
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner

from polychromic.cli import commands
from polychromic.code.benchmark_tests import called_function
from polychromic.code.benchmarks import RowForm, problem_from, read_problems
from polychromic.code.extraction import Extraction, extract
from polychromic.code.gold import check_golds
from polychromic.code.verifier import Judging, verify_completions
from polychromic.core.errors import InputError, MissingResourceError, RecordError
from polychromic.core.nouns import Completion, Status
from polychromic.records.jsonl import read_json
from polychromic.settings.catalog import build
from polychromic.settings.code import load_code
from polychromic.stages import verify_code

CONFIG = Path(__file__).parents[2] / "config" / "benchmarks"
ROWS = Path(__file__).parent / "benchmarks"
NAMES = ["humaneval", "humaneval_plus", "mbpp", "mbpp_plus", "livecodebench", "bigcodebench"]


def task_of(name: str):
    """The task of a shipped configuration over our rows of its form."""
    entry = load_code(CONFIG / f"{name}.yaml").task
    given = {"kind": entry} if isinstance(entry, str) else dict(entry)
    return build("tasks", given | {"file": str(ROWS / f"{name}.jsonl")})


def judged(task, sources: list[str]):
    items = [(problem, Extraction(source, "x")) for problem, source in zip(task.problems, sources, strict=True)]
    return [verdict for _, verdict in sorted(verify_completions(items, task.judging))]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.long
def test_every_gold_program_passes_and_nothing_else_does(name):
    task = task_of(name)
    assert task.reading.bad == 0
    check = check_golds(task.problems, task.judging)
    assert (check.checked, check.failed, check.without) == (len(task.problems), {}, 0)
    assert [verdict.passed for verdict in judged(task, [""] * len(task.problems))] == [False] * len(task.problems)
    wrong = {"": "print('nothing')", "Solution": "class Solution:\n    def twoSum(self, a, b):\n        return [0, 0]"}
    stubs = [wrong.get(p.entry_point, f"def {p.entry_point}(*a):\n    return None") for p in task.problems]
    assert [verdict.status for verdict in judged(task, stubs)] == [Status.FAILED] * len(task.problems)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("strategy", ["chat_direct", "minimal"])
def test_an_answer_with_the_gold_program_passes_and_is_demonstrated(name, strategy):
    task = replace(task_of(name), strategy=strategy)
    prompts = task.prompts("test")
    fenced = [Completion(f"Here it is:\n```python\n{problem.gold}\n```\nDone.") for problem in task.problems]
    assert all(verdict.passed for verdict in task.verify_many(prompts, fenced))
    shown = [Completion(example.demonstration) for example in task.examples("test")]
    assert all(verdict.passed for verdict in task.verify_many(prompts, shown))


def test_a_description_in_words_is_shown_as_a_docstring_with_a_test():
    problem = task_of("mbpp").problems[0]
    assert problem.entry_point == "common"
    assert problem.prompt.startswith('"""\nWrite a function')
    assert "assert set(common((3, 4, 5)" in problem.prompt
    assert "(1, 2)" not in problem.prompt


def test_the_function_that_tests_are_about_is_found():
    asserts = "import math\nassert set(sorted(first(1))) == set() and math.isclose(second(2), 2)"
    assert called_function(asserts, "def second(x):\n    return x") == "second"
    assert called_function(asserts, "") == "first"
    assert called_function("assert True", "") == called_function("assert (", "") == ""


def test_bad_rows_are_counted_and_named_and_the_others_stay(tmp_path):
    good = json.loads((ROWS / "humaneval.jsonl").read_text().splitlines()[0])
    rows = [good, [1], {}, good | {"task_id": "x", "test": 5}, good, good | {"task_id": "y", "entry_point": "a b"}]
    path = tmp_path / "rows.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows) + "{broken\n")
    reading = read_problems(path)
    assert len(reading.problems) == 1
    assert reading.bad == 6
    assert reading.places == (
        f"{path}:2: expected an object",
        f"{path}:3: the field 'task_id or id or question_id' is missing or is no text",
        f"{path}:4: the field 'test or tests' is missing or is no text",
        f"{path}:5: the id 'Example/0' comes twice",
        f"{path}:6: entry_point is no Python name",
    )
    path.write_text("{broken\n")
    with pytest.raises(RecordError, match=r"rows.jsonl:1: not JSON"):
        read_problems(path)
    with pytest.raises(MissingResourceError):
        read_problems(tmp_path / "none.jsonl")
    (tmp_path / "list.json").write_text(json.dumps([good]))
    assert len(read_problems(tmp_path / "list.json").problems) == 1
    with gzip.open(tmp_path / "rows.jsonl.gz", "wt") as file:
        file.write(json.dumps(good))
    assert len(read_problems(tmp_path / "rows.jsonl.gz").problems) == 1


def test_a_pickle_that_is_no_text_is_refused_and_never_run(tmp_path):
    import base64
    import zlib

    class Runs:
        def __reduce__(self):
            return (open, (str(tmp_path / "it_ran"), "w"))

    row = json.loads((ROWS / "livecodebench.jsonl").read_text().splitlines()[0])
    row["private_test_cases"] = base64.b64encode(zlib.compress(pickle.dumps(Runs()))).decode()
    form = RowForm(load_code(CONFIG / "livecodebench.yaml").task["fields"], "cases")
    with pytest.raises(ValueError, match="decompressed"):
        problem_from(row, form)
    assert not (tmp_path / "it_ran").exists()
    with pytest.raises(ValueError, match="decompressed"):
        problem_from(row | {"private_test_cases": "no base 64"}, form)


@pytest.mark.parametrize(
    ("outputs", "answer", "passes"),
    [
        ([[1, 2]], "(1, 2)", True),
        ([[1, 2]], "[2, 1]", False),
        ([[1, 2]], "{2, 1}", True),
        ([0.1], "0.1 + 1e-9", True),
        ([0.1], "0.2", False),
        ([1], "True", False),
        ([{"a": [1.0]}], "{'a': (1.0000000001,)}", True),
        (["a"], "'a '", False),
        ([None], "None", True),
    ],
)
def test_answers_are_compared_as_json_can_carry_them(outputs, answer, passes):
    row = {"id": "a", "prompt": "def f(x):\n", "entry_point": "f", "inputs": [[1]], "outputs": outputs}
    problem = problem_from(row, RowForm(tests="pairs"))
    ((_, verdict),) = verify_completions([(problem, Extraction(f"def f(x):\n    return {answer}", "x"))], Judging())
    assert verdict.passed is passes, verdict


@pytest.mark.parametrize(
    ("source", "passes"),
    [
        ("n = int(input())\nprint(n * 0.5)", True),
        ("import sys\nfor line in sys.stdin:\n    print(float(line) / 2, end=' \\n')\nsys.exit(0)", True),
        ("import sys\nprint(sys.stdin.buffer.read().strip().decode())", False),
        ("print(open(0).read())", False),
        ("import os\nos._exit(0)", False),
        ("print(", False),
        ("raise KeyError(1)", False),
    ],
)
def test_programs_that_read_and_print(source, passes):
    row = {"id": "a", "prompt": "Halve it.", "inputs": ["3\n", "4\n"], "outputs": ["1.5000000001", "2\n"]}
    problem = problem_from(row, RowForm(tests="stdin"))
    ((_, verdict),) = verify_completions([(problem, Extraction(source, "x"))], Judging())
    assert verdict.passed is passes, verdict
    if source == "print(":
        assert verdict.detail.startswith("syntax_error")


@pytest.mark.parametrize(
    ("text", "source", "rule"),
    [
        ("```python\nn = int(input())\nprint(n)\n```", "n = int(input())\nprint(n)", "fence"),
        ("First\n```\nx = 1\n```\nthen\n```py\nprint(2)\n```", "print(2)", "fence"),
        ("It reads:\nn = input()\nprint(n)\n", "n = input()\nprint(n)\n", "text"),
        ("```python\nprint(\n```", "print(", "unparsed"),
        ("I cannot.", "", "no_code"),
    ],
)
def test_a_program_that_is_run_whole_is_extracted_with_all_it_does(text, source, rule):
    assert extract(text, "")[:2] == (source, rule)


def test_problems_whose_gold_fails_are_named_and_left_out(tmp_path):
    rows = [json.loads(line) for line in (ROWS / "humaneval.jsonl").read_text().splitlines()]
    rows[1]["canonical_solution"] = "    return name\n"
    data = tmp_path / "data.jsonl"
    data.write_text("".join(json.dumps(row) + "\n" for row in rows))
    task = build("tasks", {"kind": "benchmark", "file": str(data)})
    samples = tmp_path / "samples.jsonl"
    texts = [{"task_id": row["task_id"], "completion": row["canonical_solution"]} for row in rows]
    samples.write_text("".join(json.dumps(row) + "\n" for row in texts))
    result = read_json(verify_code.run(samples, task, tmp_path / "out"))
    assert (result["tasks"], result["samples"], result["passed"]) == (1, 1, 1)
    assert list(result["gold"]["failed"]) == ["Example/1"]
    shown = (
        CliRunner()
        .invoke(
            commands,
            ["verify", "--task", f"{{kind: benchmark, file: {data}}}", "--samples", str(samples)],
            catch_exceptions=False,
        )
        .stdout
    )
    assert "1 of 2 gold programs fail their own tests" in shown
    for row in rows:
        row["canonical_solution"] = "    return 5\n"
    data.write_text("".join(json.dumps(row | {"task_id": row["task_id"] + "b"}) + "\n" for row in rows))
    task = build("tasks", {"kind": "benchmark", "file": str(data), "shown_tests": 0})
    with pytest.raises(InputError, match=r"no gold program passes .* the first, Example/0b: wrong_answer"):
        check_golds(task.problems, task.judging)


def test_options_that_make_no_sense_are_refused():
    with pytest.raises(InputError, match="'promt' is no part of a problem"):
        build("tasks", {"kind": "benchmark", "file": "x", "fields": {"promt": "text"}})
    with pytest.raises(InputError, match="file: is missing"):
        build("tasks", {"kind": "benchmark"})


def test_a_benchmark_is_judged_from_its_configuration(tmp_path):
    text = (CONFIG / "mbpp.yaml").read_text().replace("data/mbpp.jsonl", str(ROWS / "mbpp.jsonl"))
    (tmp_path / "mbpp.yaml").write_text(text)
    rows = [json.loads(line) for line in (ROWS / "mbpp.jsonl").read_text().splitlines()]
    samples = tmp_path / "s.jsonl"
    samples.write_text("".join(json.dumps({"task_id": str(r["task_id"]), "text": r["code"]}) + "\n" for r in rows))
    done = CliRunner().invoke(
        commands,
        ["verify", "--task", str(tmp_path / "mbpp.yaml"), "--samples", str(samples), "--json"],
        catch_exceptions=False,
    )
    assert json.loads(done.stdout)["passed"] == 3
