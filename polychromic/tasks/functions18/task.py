"""The eighteen functions as the shelf's dataclass."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import ClassVar

import yaml

from polychromic.core.nouns import Completion, Example, Prompt, Verdict
from polychromic.tasks.coding import chosen, examples_of, judged_pairs, prompts_of
from polychromic.tasks.judging import DistinctBy, Judging, PostProcessing
from polychromic.tasks.problems import Problem, call_inputs, tests_from_cases
from polychromic.tasks.strategies import Strategy


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
class Functions18:
    """Small everyday functions; all are in the split ``test`` unless shares of them are set apart.

    ``only`` names the ones that are asked.
    """

    strategy: Strategy = "minimal"
    post_processing: PostProcessing = "auto"
    distinct_by: DistinctBy = "program"
    cpu_seconds: float = 3.0
    workers: int = 0
    train_share: float = 0.0
    validation_share: float = 0.0
    only: tuple[str, ...] = ()

    name: ClassVar[str] = "functions18"

    @property
    def problems(self) -> tuple[Problem, ...]:
        """All eighteen problems."""
        return problems()

    @property
    def judging(self) -> Judging:
        """How completions become verdicts."""
        return Judging(self.strategy, self.post_processing, self.distinct_by, self.cpu_seconds, self.workers)

    def prompts(self, split: str) -> tuple[Prompt, ...]:
        """The functions of ``split`` as the strategy puts them."""
        return prompts_of(self._split(split), self.name, self.strategy)

    def examples(self, split: str) -> tuple[Example, ...]:
        """The functions of ``split`` with their gold programs."""
        return examples_of(self._split(split), self.name, self.strategy)

    def verify(self, prompt: Prompt, completion: Completion) -> Verdict:
        """PASSED when the program meets every case."""
        return self.verify_many([prompt], [completion])[0]

    def verify_many(self, prompts: Sequence[Prompt], completions: Sequence[Completion]) -> list[Verdict]:
        """The same for many completions in one sandbox."""
        return judged_pairs(self.problems, prompts, completions, self.judging)

    def _split(self, split: str) -> list[Problem]:
        return chosen(self.problems, split, (self.train_share, self.validation_share), self.only)
