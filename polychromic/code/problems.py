"""Programming problems: what a model is shown, which tests judge it, on which inputs its behaviour is recorded."""

from __future__ import annotations

import ast
import hashlib
from typing import Any, Literal, NamedTuple

from polychromic.code.python_ast import parsed
from polychromic.core.errors import InputError

MOST_INPUTS = 64
"""Calls whose outputs make up a program's behaviour; more would only cost time."""

Harness = Literal["function", "method", "stdin"]
"""How a program is asked: by calling a function, a method of a fresh object, or as a whole with text on its input."""


class Problem(NamedTuple):
    """One program to be written.

    ``prompt`` is code (signature and docstring, or a docstring alone), ``tests`` a source that defines
    ``check(candidate)`` or asserts as it runs, ``gold`` a whole right program, ``wrong`` programs that must fail.
    ``inputs`` are argument lists of plain values. With ``differential`` the tests are: on every input the same output
    as ``gold``, floats within ``atol``. ``entry_point`` is the function, or the class whose ``method`` is asked, or
    empty for a program that reads its input and prints.
    """

    id: str
    entry_point: str
    prompt: str
    tests: str
    gold: str = ""
    wrong: tuple[str, ...] = ()
    category: str = ""
    inputs: tuple[tuple[Any, ...], ...] = ()
    differential: bool = False
    atol: float = 0.0
    harness: Harness = "function"
    method: str = ""


def tests_from_cases(cases: str) -> str:
    """The source of ``check(candidate)`` that asserts each line of ``cases``."""
    lines = [line for line in cases.strip().split("\n") if line.strip()]
    return "def check(candidate):\n" + "".join(f"    assert {line.strip()}\n" for line in lines)


def call_inputs(tests: str, names: frozenset[str] = frozenset({"candidate"})) -> tuple[tuple[Any, ...], ...]:
    """The argument lists of all calls of ``names`` in ``tests`` whose arguments are literals, each once."""
    tree = parsed(tests)
    found: dict[str, tuple[Any, ...]] = {}
    for node in ast.walk(tree) if tree is not None else ():
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in names:
            try:
                arguments = tuple(ast.literal_eval(argument) for argument in node.args)
            except (ValueError, TypeError, MemoryError, RecursionError):
                continue
            if not node.keywords:
                found.setdefault(repr(arguments), arguments)
    return tuple(found.values())[:MOST_INPUTS]


def in_split(problem_id: str, split: str, train_share: float, validation_share: float) -> bool:
    """Whether a problem belongs to ``split``: its id's hash decides, so it never changes sides.

    Raises:
        InputError: ``split`` is unknown, or the shares are not in [0, 1].
    """
    if split not in ("train", "validation", "test"):
        raise InputError(f"there is no split {split!r}; allowed: train, validation, test")
    if min(train_share, validation_share) < 0 or train_share + validation_share > 1:
        raise InputError("train_share and validation_share are shares of all problems: between 0 and 1 together")
    place = int.from_bytes(hashlib.sha256(problem_id.encode("utf-8", "surrogatepass")).digest()[:8], "big") / 2**64
    if place < train_share:
        return split == "train"
    return split == ("validation" if place < train_share + validation_share else "test")
