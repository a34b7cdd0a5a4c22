"""What the code tasks share: problems as prompts and demonstrations, and many completions judged in one sandbox."""

from __future__ import annotations

from collections.abc import Sequence

from polychromic.core.errors import InputError
from polychromic.core.nouns import Completion, Example, Prompt, Status, Verdict
from polychromic.tasks.judging import Judging, judge
from polychromic.tasks.problems import Problem, in_split
from polychromic.tasks.strategies import Strategy, content, demonstration


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
