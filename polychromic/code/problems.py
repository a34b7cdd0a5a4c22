"""Programming problems: what a model is shown, which tests judge it, on which inputs its behaviour is recorded."""

from __future__ import annotations

import ast
import gzip
import hashlib
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from polychromic.code.python_ast import Parser
from polychromic.core.errors import InputError, MissingResourceError, RecordError

MOST_INPUTS = 64
"""Calls whose outputs make up a program's behaviour; more would only cost time."""


class Problem(NamedTuple):
    """One function to be written.

    ``prompt`` is code (signature and docstring), ``tests`` a source that defines ``check(candidate)``, ``gold`` a
    whole right program, ``wrong`` programs that must fail. ``inputs`` are argument lists of plain values. With
    ``differential`` the tests are: on every input the same output as ``gold``, floats within ``atol``.
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


def tests_from_cases(cases: str) -> str:
    """The source of ``check(candidate)`` that asserts each line of ``cases``."""
    lines = [line for line in cases.strip().split("\n") if line.strip()]
    return "def check(candidate):\n" + "".join(f"    assert {line.strip()}\n" for line in lines)


def call_inputs(tests: str) -> tuple[tuple[Any, ...], ...]:
    """The argument lists of all ``candidate(...)`` calls in ``tests`` whose arguments are literals, each once."""
    tree, _ = Parser(1).parse(tests)
    found: dict[str, tuple[Any, ...]] = {}
    for node in ast.walk(tree) if tree is not None else ():
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "candidate":
            try:
                arguments = tuple(ast.literal_eval(argument) for argument in node.args)
            except (ValueError, TypeError, MemoryError, RecursionError):
                continue
            if not node.keywords:
                found.setdefault(repr(arguments), arguments)
    return tuple(found.values())[:MOST_INPUTS]


def read_problems(path: str | Path) -> tuple[Problem, ...]:
    """The problems of a JSONL file (also gzipped), in its order.

    A row has ``prompt``, ``entry_point``, an id (``task_id`` or ``id``) and ``test`` or ``tests``; or, in HumanEval+'s
    differential form, ``base_input``, ``plus_input`` and ``canonical_solution``. ``canonical_solution`` continues the
    prompt; ``gold`` is a whole program.

    Raises:
        RecordError: ``file:line: reason`` for a row that is no problem, and for an id that comes twice.
        MissingResourceError: there is no such file.
    """
    problems: dict[str, Problem] = {}
    for line, text in _lines(Path(path)):
        try:
            problem = problem_from(json.loads(text))
        except (ValueError, RecursionError) as error:
            reason = "not JSON" if isinstance(error, json.JSONDecodeError | RecursionError) else error
            raise RecordError(f"{path}:{line}: {reason}") from None
        if problem.id in problems:
            raise RecordError(f"{path}:{line}: the id {problem.id!r} comes twice")
        problems[problem.id] = problem
    if not problems:
        raise RecordError(f"{path}: holds no problem")
    return tuple(problems.values())


def _lines(path: Path) -> Iterable[tuple[int, str]]:
    opened = gzip.open if path.suffix == ".gz" else open
    try:
        with opened(path, "rt", encoding="utf-8") as file:
            yield from ((number, line) for number, line in enumerate(file, start=1) if line.strip())
    except FileNotFoundError:
        raise MissingResourceError(f"{path}: there is no such file") from None
    except (OSError, UnicodeDecodeError, EOFError) as error:
        raise RecordError(f"{path}: cannot be read as UTF-8 JSONL: {type(error).__name__}") from None


def problem_from(row: Any) -> Problem:
    """The problem a JSON object describes.

    Raises:
        ValueError: a field is missing or is not text; the message names it.
    """
    if not isinstance(row, Mapping):
        raise ValueError("expected an object with prompt, tests and entry_point")
    prompt, entry_point = _text(row, "prompt"), _text(row, "entry_point")
    if not entry_point.isidentifier():
        raise ValueError("entry_point is no Python name")
    gold = _text(row, "gold") if "gold" in row else ""
    if "canonical_solution" in row and not gold:
        gold = prompt + _text(row, "canonical_solution")
    common = Problem(_text(row, "task_id" if "task_id" in row else "id"), entry_point, prompt, "", gold)
    if "plus_input" in row:
        return _differential(common, row)
    tests = _text(row, "test" if "test" in row else "tests")
    wrong = tuple(str(program) for program in row.get("wrong") or ())
    return common._replace(tests=tests, wrong=wrong, inputs=call_inputs(tests), category=str(row.get("category", "")))


def _differential(common: Problem, row: Mapping[str, Any]) -> Problem:
    if not common.gold:
        raise ValueError("the differential form needs canonical_solution")
    calls = [*(row.get("base_input") or []), *(row["plus_input"] or [])]
    if not calls or not all(isinstance(call, list) for call in calls):
        raise ValueError("base_input and plus_input are lists of argument lists")
    inputs = tuple(tuple(call) for call in calls)
    return common._replace(inputs=inputs, differential=True, atol=float(row.get("atol") or 0.0))


def _text(row: Mapping[str, Any], field: str) -> str:
    if not isinstance(row.get(field), str):
        raise ValueError(f"the field {field!r} is missing or is no text")
    return str(row[field])


def in_split(problem_id: str, split: str, train_share: float, validation_share: float) -> bool:
    """Whether a problem belongs to ``split``: its id's hash decides, so it never changes sides.

    Raises:
        InputError: ``split`` is unknown, or the shares are not in [0, 1].
    """
    if split not in ("train", "validation", "test"):
        raise InputError(f"there is no split {split!r}; allowed: train, validation, test")
    if min(train_share, validation_share) < 0 or train_share + validation_share > 1:
        raise InputError("train_share and validation_share are shares of all problems: between 0 and 1 together")
    place = int.from_bytes(hashlib.sha256(problem_id.encode()).digest()[:8], "big") / 2**64
    if place < train_share:
        return split == "train"
    return split == ("validation" if place < train_share + validation_share else "test")
