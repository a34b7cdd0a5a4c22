"""The code tasks' frame: problems as prompts and demonstrations, and many completions judged in one sandbox."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from polychromic.code.problems import Problem, in_split
from polychromic.code.prompting import Strategy, content, demonstration
from polychromic.code.verifier import DistinctBy, Judging, PostProcessing, judge
from polychromic.core.errors import InputError
from polychromic.core.nouns import Completion, Example, Prompt, Status, Verdict


@dataclass(frozen=True)
class CodeTask:
    """A task of programming problems; a task of the shelf adds its name and where the problems come from.

    ``strategy`` is how a model is asked, ``post_processing`` how its program is found, ``distinct_by`` what makes two
    right programs different. ``workers`` 0 means one for each core. All problems are in the split ``test`` unless
    shares of them are set apart for training and validation; ``only`` names the ones that are asked, by id or function.
    """

    strategy: Strategy = "minimal"
    post_processing: PostProcessing = "auto"
    distinct_by: DistinctBy = "program"
    cpu_seconds: float = 3.0
    workers: int = 0
    train_share: float = 0.0
    validation_share: float = 0.0
    only: tuple[str, ...] = ()

    name: ClassVar[str]

    @property
    def problems(self) -> tuple[Problem, ...]:
        """All problems, in the order of their source."""
        raise NotImplementedError

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


def chosen(problems: Sequence[Problem], split: str, shares: tuple[float, float], only: Sequence[str]) -> list[Problem]:
    """The problems of ``split``, of those that ``only`` names by id or function when it names any.

    Raises:
        InputError: it names one that is not there, or the split or its shares are none.
    """
    known = {name for problem in problems for name in (problem.id, problem.entry_point)}
    for name in only:
        if name not in known:
            raise InputError(f"only: there is no problem {name!r}")
    asked = [problem for problem in problems if not only or {problem.id, problem.entry_point} & set(only)]
    return [problem for problem in asked if in_split(problem.id, split, *shares)]


def prompts_of(problems: Sequence[Problem], name: str, strategy: Strategy) -> tuple[Prompt, ...]:
    """The problems as prompts of a strategy."""
    return tuple(
        Prompt(problem.id, content(problem, strategy), {"task": name, "entry_point": problem.entry_point})
        for problem in problems
    )


def judged_pairs(
    problems: Sequence[Problem], prompts: Sequence[Prompt], completions: Sequence[Completion], judging: Judging
) -> list[Verdict]:
    """One verdict for each prompt and completion, all in one sandbox; ABSENT for a prompt that is none of ours."""
    known = {problem.id: problem for problem in problems}
    pairs = list(zip(prompts, completions, strict=True))
    ours = [index for index, (prompt, _) in enumerate(pairs) if prompt.id in known]
    found = judge([(known[pairs[index][0].id], pairs[index][1]) for index in ours], judging) if ours else []
    judged = dict(zip(ours, found, strict=True))
    stranger = Verdict(Status.ABSENT, "the prompt is none of this task's")
    return [judged.get(index, stranger) for index in range(len(pairs))]


def examples_of(problems: Sequence[Problem], name: str, strategy: Strategy) -> tuple[Example, ...]:
    """The problems that have a gold program, with it as the strategy asks for it."""
    solved = [problem for problem in problems if problem.gold]
    golds = (demonstration(problem, strategy) for problem in solved)
    prompts = prompts_of(solved, name, strategy)
    return tuple(Example(prompt, gold) for prompt, gold in zip(prompts, golds, strict=True))
