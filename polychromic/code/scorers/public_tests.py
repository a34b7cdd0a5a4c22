"""The examples that the prompt itself shows, run in the sandbox."""

from __future__ import annotations

import ast
import doctest
from dataclasses import dataclass

from polychromic.code.candidates import Candidates, unknown
from polychromic.code.extraction import prompt_preamble
from polychromic.code.problems import Problem
from polychromic.code.python_ast import definition, parsed
from polychromic.code.verifier import open_sandbox
from polychromic.sandbox import Program


@dataclass(frozen=True)
class PublicTests:
    """The share of the docstring's ``>>>`` examples that a program meets; the hidden tests are not used."""

    def scores(self, candidates: Candidates) -> tuple[float, ...]:
        """Shares in [0, 1]; unknown where the prompt shows no example."""
        problem = candidates.problem
        tests = public_tests(problem) if problem is not None else []
        if problem is None or not tests:
            return unknown(candidates)
        sources = candidates.sources()
        setup = prompt_preamble(problem.prompt, problem.entry_point)
        programs = [Program(source, problem.entry_point, test, setup) for source in sources for test in tests]
        found = open_sandbox(candidates.judging).judge_many(programs)
        size = len(tests)
        return tuple(
            sum(judgement.passed for judgement in found[start : start + size]) / size
            for start in range(0, len(found), size)
        )


def public_tests(problem: Problem) -> list[str]:
    """One test source for each example of the prompt whose expected output is a literal."""
    tree = parsed(problem.prompt)
    function = definition(tree, problem.entry_point) if tree is not None else None
    text = ast.get_docstring(function) if isinstance(function, ast.FunctionDef) else problem.prompt
    try:
        examples = doctest.DocTestParser().get_examples(text or "")
    except ValueError:
        return []
    tests = []
    for example in examples:
        try:
            expected = ast.literal_eval(example.want.strip())
            ast.parse(example.source.strip(), mode="eval")
        except (ValueError, SyntaxError, MemoryError, RecursionError):
            continue
        tests.append(f"assert ({example.source.strip()}) == {expected!r}\n")
    return tests
