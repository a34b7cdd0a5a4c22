"""Problems from the files of benchmarks: which field is what, which form the tests have, which rows are bad."""

from __future__ import annotations

import base64
import gzip
import json
import pickletools
import zlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from polychromic.code.benchmark_tests import (
    TestForm,
    called_function,
    from_asserts,
    from_pairs,
    from_texts,
    from_unittest,
)
from polychromic.code.problems import MOST_INPUTS, Problem, call_inputs
from polychromic.code.python_ast import definition, parsed
from polychromic.core.errors import MissingResourceError, RecordError

FIELDS: Mapping[str, tuple[str, ...]] = {
    "id": ("task_id", "id", "question_id"),
    "prompt": ("prompt",),
    "starter": ("starter_code",),
    "entry_point": ("entry_point",),
    "tests": ("test", "tests"),
    "setup": ("setup",),
    "inputs": ("inputs",),
    "outputs": ("outputs",),
    "gold": ("gold", "canonical_solution"),
    "wrong": ("wrong",),
    "category": ("category",),
}
"""What a problem is made of, and the fields that are tried for it where a configuration names none."""
NAMED_ROWS = 5
READS = "The whole program reads its standard input and prints the answer."


class RowForm(NamedTuple):
    """How a row describes a problem: ``fields`` maps the keys of ``FIELDS`` to the row's, ``tests`` is their form.

    ``shown_tests`` of the asserts are shown to the model with a description in words; floats are equal within ``atol``
    (1e-6 when it is 0) and one part in ten million.
    """

    fields: Mapping[str, str] = {}
    tests: TestForm = "check"
    shown_tests: int = 1
    atol: float = 0.0

    def value(self, row: Mapping[str, Any], key: str) -> Any:
        """The row's value for ``key``; None when it has none."""
        names = (self.fields[key],) if key in self.fields else FIELDS[key]
        return next((row[name] for name in names if row.get(name) is not None), None)

    def text(self, row: Mapping[str, Any], key: str, default: str | None = None) -> str:
        """The same as text.

        Raises:
            ValueError: it is missing, and there is no default, or it is no text.
        """
        found = self.value(row, key)
        if found is None and default is not None:
            return default
        if not isinstance(found, str):
            name = self.fields.get(key) or " or ".join(FIELDS[key])
            raise ValueError(f"the field {name!r} is missing or is no text")
        return found


class Reading(NamedTuple):
    """The problems of a file in its order, how many rows are none, and the first of those: ``file:line: reason``."""

    problems: tuple[Problem, ...]
    bad: int = 0
    places: tuple[str, ...] = ()


def read_problems(path: str | Path, form: RowForm | None = None) -> Reading:
    """The problems of a JSONL file (also gzipped) or a JSON list.

    Raises:
        RecordError: no row of it is a problem; the message says why the first is not.
        MissingResourceError: there is no such file.
    """
    problems: dict[str, Problem] = {}
    bad: list[str] = []
    for line, row in _rows(Path(path)):
        try:
            problem = problem_from(row, form or RowForm())
            if problem.id in problems:
                raise ValueError(f"the id {problem.id!r} comes twice")
        except (ValueError, RecursionError) as error:
            bad.append(f"{path}:{line}: {error}")
            continue
        problems[problem.id] = problem
    if not problems:
        raise RecordError(bad[0] if bad else f"{path}: holds no problem")
    return Reading(tuple(problems.values()), len(bad), tuple(bad[:NAMED_ROWS]))


def _rows(path: Path) -> Iterator[tuple[int, Any]]:
    """Line (or place in a list) and JSON value; a line that is no JSON is None."""
    opened = gzip.open if path.suffix == ".gz" else open
    try:
        with opened(path, "rt", encoding="utf-8") as file:
            if ".json" in path.suffixes:
                yield from enumerate(json.load(file), start=1)
                return
            for number, line in enumerate(file, start=1):
                if line.strip():
                    yield number, _parsed(line)
    except FileNotFoundError:
        raise MissingResourceError(f"{path}: there is no such file") from None
    except (OSError, UnicodeDecodeError, EOFError, json.JSONDecodeError, RecursionError, TypeError) as error:
        raise RecordError(f"{path}: cannot be read as UTF-8 JSONL: {type(error).__name__}") from None


def _parsed(line: str) -> Any:
    try:
        return json.loads(line)
    except (ValueError, RecursionError):
        return None


def problem_from(row: Any, form: RowForm) -> Problem:
    """The problem a JSON object describes.

    Raises:
        ValueError: a field is missing or is not what it should be; the message names it.
    """
    if not isinstance(row, Mapping):
        raise ValueError("not JSON" if row is None else "expected an object")
    number = form.value(row, "id")
    name = str(number) if isinstance(number, int) and not isinstance(number, bool) else form.text(row, "id")
    wrong = tuple(str(program) for program in form.value(row, "wrong") or ())
    common = Problem(name, "", "", "", wrong=wrong, category=form.text(row, "category", ""))
    if form.tests in ("stdin", "cases"):
        return _with_cases(common, row, form)
    found = _with_tests(common, row, form)
    if not found.entry_point.isidentifier():
        raise ValueError("entry_point is no Python name")
    prompt = _as_code(form.text(row, "prompt"), found.entry_point, _shown(row, form), form.text(row, "starter", ""))
    return found._replace(prompt=prompt, gold=_whole(form.text(row, "gold", ""), prompt, found.entry_point))


def _with_tests(common: Problem, row: Mapping[str, Any], form: RowForm) -> Problem:
    """The problem with its tests, their inputs and the function they are about."""
    if form.tests == "differential" or (form.tests == "check" and "plus_input" in row):
        return _differential(common, row, form)
    setup, atol = form.text(row, "setup", ""), form.atol or float(row.get("atol") or 0.0)
    if form.tests == "pairs":
        inputs, outputs = _lists(form, row, "inputs"), _lists(form, row, "outputs")
        if len(inputs) != len(outputs) or not all(isinstance(call, list) for call in inputs):
            raise ValueError("inputs are lists of arguments, one for each of the outputs")
        calls = tuple(map(tuple, inputs))
        tests = f"{setup}\n{from_pairs(calls, outputs, atol)}"
        return common._replace(entry_point=form.text(row, "entry_point"), tests=tests, inputs=calls[:MOST_INPUTS])
    given = form.value(row, "tests")
    if form.tests == "asserts" and isinstance(given, list) and given and all(isinstance(item, str) for item in given):
        source = from_asserts(given, setup)
    else:
        text = form.text(row, "tests")
        source = from_asserts(text, setup) if form.tests == "asserts" else f"{setup}\n{text}" if setup else text
    entry = form.text(row, "entry_point", "") or called_function(source, form.text(row, "gold", ""))
    if not entry:
        raise ValueError("the field 'entry_point' is missing, and the tests call no function that the gold defines")
    called = call_inputs(source, frozenset({"candidate"} if form.tests == "check" else {"candidate", entry}))
    tests = from_unittest(source) if form.tests == "unittest" else source
    return common._replace(entry_point=entry, tests=tests, inputs=called)


def _differential(common: Problem, row: Mapping[str, Any], form: RowForm) -> Problem:
    if not form.text(row, "gold", ""):
        raise ValueError("the differential form needs canonical_solution")
    calls = [*(row.get("base_input") or []), *(row.get("plus_input") or []), *(form.value(row, "inputs") or [])]
    if not calls or not all(isinstance(call, list) for call in calls):
        raise ValueError("base_input and plus_input are lists of argument lists")
    atol = form.atol or float(row.get("atol") or 0.0)
    entry = form.text(row, "entry_point")
    return common._replace(entry_point=entry, inputs=tuple(map(tuple, calls)), differential=True, atol=atol)


def _with_cases(common: Problem, row: Mapping[str, Any], form: RowForm) -> Problem:
    """A problem whose cases are texts to be read and printed, or arguments of a method, as LiveCodeBench has them."""
    starter, gold = form.text(row, "starter", ""), form.text(row, "gold", "")
    if form.tests == "stdin":
        inputs, outputs, functional = _lists(form, row, "inputs"), _lists(form, row, "outputs"), False
    else:
        cases = [case for key in ("inputs", "outputs") for case in _cases(form.value(row, key))]
        if not cases:
            raise ValueError("has no test cases")
        functional = cases[0].get("testtype") == "functional"
        inputs, outputs = [case["input"] for case in cases], [case["output"] for case in cases]
    if len(inputs) != len(outputs) or not all(isinstance(item, str) for item in [*inputs, *outputs]):
        raise ValueError("test cases are texts to be read, one for each that is to be printed")
    description = form.text(row, "prompt")
    if not functional:
        tests, calls = from_texts(inputs, outputs, form.atol), tuple((text,) for text in inputs[:MOST_INPUTS])
        prompt = _as_code(f"{description.rstrip()}\n\n{READS}", "", "", "")
        return common._replace(prompt=prompt, gold=gold, tests=tests, inputs=calls, harness="stdin")
    arguments = [tuple(json.loads(line) for line in text.split("\n") if line.strip()) for text in inputs]
    tests = from_pairs(arguments, [json.loads(text) for text in outputs], form.atol)
    method = _method(row, starter)
    prompt = _as_code(description, "Solution", "", starter)
    found = common._replace(prompt=prompt, gold=gold, tests=tests, inputs=tuple(arguments[:MOST_INPUTS]))
    return found._replace(entry_point="Solution", harness="method", method=method)


def _cases(value: Any) -> list[Mapping[str, Any]]:
    """LiveCodeBench's cases: a JSON list as text, or compressed as it publishes the private ones."""
    text = value if isinstance(value, str) else "[]" if value is None else json.dumps(value)
    if not text.lstrip().startswith("["):
        text = _decompressed(text)
    found = json.loads(text)
    if not isinstance(found, list) or not all(
        isinstance(case, dict) and {"input", "output"} <= case.keys() for case in found
    ):
        raise ValueError("test cases are a JSON list of objects with input, output and testtype")
    return found


def _decompressed(text: str) -> str:
    """The text in base64, zlib and one pickled string, which is read as data: nothing is unpickled."""
    try:
        data = zlib.decompress(base64.b64decode(text, validate=True))
        texts = [value for _, value, _ in pickletools.genops(data) if isinstance(value, str)]
    except (ValueError, zlib.error) as error:
        raise ValueError(f"test cases cannot be decompressed: {type(error).__name__}") from None
    if len(texts) != 1:
        raise ValueError("test cases cannot be decompressed: expected one text")
    return texts[0]


def _method(row: Mapping[str, Any], starter: str) -> str:
    """The method that is asked, by the row's metadata, else by the starter's last definition."""
    metadata = row.get("metadata")
    known = json.loads(metadata) if isinstance(metadata, str) and metadata.strip() else metadata or {}
    name = known.get("func_name", "") if isinstance(known, Mapping) else ""
    name = name or starter.rpartition("def ")[2].partition("(")[0].strip()
    if not name.isidentifier():
        raise ValueError("the method to be asked is named neither in metadata.func_name nor in starter_code")
    return str(name)


def _lists(form: RowForm, row: Mapping[str, Any], key: str) -> list[Any]:
    found = form.value(row, key)
    if not isinstance(found, list) or not found:
        raise ValueError(f"the field {form.fields.get(key) or key!r} is missing or is no list")
    return found


def _shown(row: Mapping[str, Any], form: RowForm) -> str:
    given = form.value(row, "tests")
    shown: Sequence[Any] = given[: form.shown_tests] if isinstance(given, list) and form.tests == "asserts" else ()
    return "\n".join(map(str, shown))


def _as_code(prompt: str, entry_point: str, shown: str, starter: str) -> str:
    """A prompt that is code as it stands; a description in words as a docstring, with the tests to be shown."""
    tree = None
    for ending in ("", "\n    pass\n"):
        tree = parsed(prompt + ending)
        if tree is not None and entry_point and definition(tree, entry_point) is not None:
            return prompt
    if tree is not None and prompt.lstrip().startswith(('"""', "'''", "import ", "from ")):
        return prompt
    words = "\n".join(part.strip("\n") for part in (prompt, shown) if part).replace('"""', "'''")
    docstring = f'{"r" if chr(92) in words else ""}"""\n{words}\n"""\n'
    return docstring + starter


def _whole(gold: str, prompt: str, entry_point: str) -> str:
    """A gold program that stands alone: as it is, or as the prompt's continuation."""
    if not gold.strip():
        return ""
    tree = parsed(gold)
    return gold if tree is not None and definition(tree, entry_point) is not None else prompt + gold
