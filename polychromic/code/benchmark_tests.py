"""The forms in which benchmarks publish tests, each as the source of tests that the sandbox's judge can run."""

from __future__ import annotations

import ast
import textwrap
from collections.abc import Sequence
from typing import Any, Literal

from polychromic.code.python_ast import BUILTIN_NAMES, bound_names, parsed

TestForm = Literal["check", "asserts", "script", "unittest", "pairs", "stdin", "cases", "differential"]
"""
``check``: source that defines ``check(candidate)``, as HumanEval's. ``asserts``: a list of assert statements that call
the function by name, as MBPP's. ``script``: source that asserts as it runs, as MBPP+'s. ``unittest``: source with
TestCase classes, as BigCodeBench's. ``pairs``: lists of argument lists and of answers. ``stdin``: lists of texts that
are read and printed. ``cases``: LiveCodeBench's JSON of cases, which are pairs or stdin. ``differential``: lists of
argument lists on which the program must answer as the gold one, as HumanEval+'s.
"""

SAME = """\
import math as _math

def _number(value):
    return isinstance(value, (int, float)) and not isinstance(value, bool)

def _same(got, want, atol):
    if isinstance(got, float) or isinstance(want, float):
        if not _number(got) or not _number(want):
            return False
        return got == want or (got != got and want != want) or abs(got - want) <= atol + 1e-7 * abs(want)
    if isinstance(want, (set, frozenset)) or isinstance(got, (set, frozenset)):
        return isinstance(got, (set, frozenset, list, tuple)) and isinstance(want, (set, frozenset, list, tuple)) and (
            len(got) == len(want) and set(map(repr, got)) == set(map(repr, want)))
    if isinstance(want, (list, tuple)):
        return isinstance(got, (list, tuple)) and len(got) == len(want) and all(
            _same(one, other, atol) for one, other in zip(got, want))
    if isinstance(want, dict):
        return isinstance(got, dict) and got.keys() == want.keys() and all(
            _same(got[key], want[key], atol) for key in want)
    return type(got) is type(want) and got == want
"""
"""Equality across JSON: a list is a tuple, a list may stand for a set, floats are close."""

PAIRS = (
    SAME
    + """
import copy as _copy

def check(candidate):
    for arguments, want in {pairs!r}:
        got = candidate(*_copy.deepcopy(arguments))
        assert _same(got, want, {atol!r}), arguments
"""
)

STDIN = (
    SAME
    + """
def _token(text):
    try:
        return float(text)
    except ValueError:
        return text

def _printed(got, want):
    lines = [[line.rstrip() for line in text.strip().splitlines()] for text in (got, want)]
    if lines[0] == lines[1]:
        return True
    got, want = ([line.split() for line in side] for side in lines)
    return [len(line) for line in got] == [len(line) for line in want] and all(
        one == other or (_number(_token(one)) and _same(_token(one), _token(other), {atol!r}))
        for line, wanted in zip(got, want) for one, other in zip(line, wanted))

def check(candidate):
    for given, want in {pairs!r}:
        got = candidate(given)
        assert isinstance(got, str) and _printed(got, want), given
"""
)

UNITTEST = """

import unittest as _unittest
_found = _unittest.TestResult()
_cases = [item for item in list(globals().values()) if isinstance(item, type) and issubclass(item, _unittest.TestCase)]
for _case in _cases:
    _unittest.defaultTestLoader.loadTestsFromTestCase(_case).run(_found)
_wrong = [text.strip().splitlines()[-1] for _, text in _found.failures + _found.errors]
assert _found.testsRun and not _wrong, _wrong[0] if _wrong else "no test was run"
"""


def from_asserts(asserts: str | Sequence[str], setup: str = "") -> str:
    """``check(candidate)`` with the statements in order, after ``setup`` at module level."""
    body = asserts if isinstance(asserts, str) else "\n".join(asserts)
    return f"{setup}\n\ndef check(candidate):\n{textwrap.indent(body.strip(), '    ')}\n"


def from_pairs(inputs: Sequence[Sequence[Any]], outputs: Sequence[Any], atol: float) -> str:
    """``check(candidate)`` that compares answers as JSON can carry them: see ``SAME``."""
    return PAIRS.format(pairs=list(zip(inputs, outputs, strict=True)), atol=atol or 1e-6)


def from_texts(inputs: Sequence[str], outputs: Sequence[str], atol: float) -> str:
    """``check(candidate)`` that compares what is printed line by line, numbers by value."""
    return STDIN.format(pairs=list(zip(inputs, outputs, strict=True)), atol=atol or 1e-6)


def from_unittest(tests: str) -> str:
    """The classes, run where they are defined."""
    return tests + UNITTEST


def called_function(tests: str, gold: str) -> str:
    """The function that ``tests`` are about: the first they call that ``gold`` defines, else that they do not know.

    Empty when there is none.
    """
    tree = parsed(tests)
    solution = parsed(gold)
    if tree is None:
        return ""
    known = bound_names(tree) | BUILTIN_NAMES
    defined = bound_names(solution) if solution is not None and gold.strip() else None
    calls = sorted(
        (node for node in ast.walk(tree) if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)),
        key=lambda node: (node.lineno, node.col_offset),
    )
    names = [node.func.id for node in calls if isinstance(node.func, ast.Name)]
    fitting = [name for name in names if (name in defined if defined is not None else name not in known)]
    return fitting[0] if fitting else ""
