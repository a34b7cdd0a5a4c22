"""A benchmark from its own file: which field is what and which form its tests have stand in the configuration."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any, ClassVar

from polychromic.code.benchmark_tests import TestForm
from polychromic.code.benchmarks import FIELDS, Reading, RowForm, read_problems
from polychromic.code.problems import Problem
from polychromic.code.task import CodeTask
from polychromic.core.digests import file_digest
from polychromic.core.errors import InputError


@cache
def _reading(path: str, content: str, fields: tuple[tuple[str, str], ...], *form: Any) -> Reading:
    return read_problems(path, RowForm(dict(fields), *form))


@dataclass(frozen=True)
class Benchmark(CodeTask):
    """The problems of ``file``, a JSONL (also gzipped) or a JSON list; see ``config/benchmarks``.

    ``fields`` says which of a row's fields is the id, prompt, tests, entry_point, gold and so on, where it is not the
    usual one; ``tests`` their form. ``shown_tests`` asserts are shown with a description in words. Floats are equal
    within ``atol`` (0: the row's own, else 1e-6) and one part in ten million.
    """

    file: str = ""
    title: str = "benchmark"
    fields: Mapping[str, str] = field(default_factory=dict)
    tests: TestForm = "check"
    shown_tests: int = 1
    atol: float = 0.0

    name: ClassVar[str] = "benchmark"

    def __post_init__(self) -> None:
        unknown = sorted(set(self.fields) - set(FIELDS))
        if unknown:
            raise InputError(f"fields: {unknown[0]!r} is no part of a problem; allowed: {', '.join(FIELDS)}")
        if not self.file:
            raise InputError("file: is missing; give the benchmark's JSONL")
        super().__post_init__()

    @property
    def problems(self) -> tuple[Problem, ...]:
        """All problems, in the file's order; raises as ``reading``."""
        return self.reading.problems

    @property
    def reading(self) -> Reading:
        """The problems, and the rows that are none.

        Raises:
            RecordError: the file holds no problem.
            MissingResourceError: the file is not there.
        """
        content = file_digest(self.file)
        return _reading(self.file, content, tuple(self.fields.items()), self.tests, self.shown_tests, self.atol)
