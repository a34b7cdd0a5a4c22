"""The eighteen functions as the shelf's dataclass."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import ClassVar

import yaml

from polychromic.code.problems import Problem, call_inputs, tests_from_cases
from polychromic.code.task import CodeTask


@cache
def problems() -> tuple[Problem, ...]:
    """The eighteen, in the order of their categories."""
    text = (Path(__file__).parent / "problems.yaml").read_text(encoding="utf-8")
    return tuple(_problem(row) for row in yaml.safe_load(text))


def _problem(row: dict[str, str]) -> Problem:
    tests = tests_from_cases(row["cases"])
    return Problem(
        id=f"functions18/{row['name']}",
        entry_point=row["name"],
        prompt=row["prompt"],
        tests=tests,
        gold=row["gold"],
        wrong=tuple(row["wrong"]),
        category=row["category"],
        inputs=call_inputs(tests),
    )


@dataclass(frozen=True)
class Functions18(CodeTask):
    """Small everyday functions, eighteen of them in five categories."""

    name: ClassVar[str] = "functions18"

    @property
    def problems(self) -> tuple[Problem, ...]:
        """All eighteen problems."""
        return problems()
