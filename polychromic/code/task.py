"""The code tasks' frame: problems as prompts and demonstrations, and many completions judged in one sandbox."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

from polychromic.code.benchmarks import Reading
from polychromic.code.problems import Problem, in_split
from polychromic.code.prompting import Strategy, content, demonstration, resolved, strategy
from polychromic.code.verifier import DistinctBy, Judging, verify_completions
from polychromic.core.errors import InputError
from polychromic.core.nouns import Completion, Example, Prompt, Status, Verdict
from polychromic.core.protocols import PostProcessing
from polychromic.sandbox.nouns import JudgeMode
from polychromic.settings.catalog import kind_class, kinds
from polychromic.settings.content import options, written


@dataclass(frozen=True)
class CodeTask:
    """A task of programming problems; a task of the shelf adds its name and where the problems come from.

    ``strategy`` is how a model is asked, by name or file; ``system`` is said in the place of its own system message,
    ``instruction`` besides. ``post_processing``, a kind of its shelf, finds the program (``auto``: as the strategy
    says); ``distinct_by`` is what makes two right programs different. ``workers`` 0 means one for each core.
    ``modules`` are importable besides the standard library. ``judge: inproc`` runs the tests beside the program, which
    can then forge its verdict. All problems are in the split ``test`` unless shares of them are set apart for training
    and validation; ``only`` names the ones that are asked, by id or function.
    """

    strategy: str = "minimal"
    system: str = ""
    instruction: str = ""
    post_processing: str | Mapping[str, Any] = "auto"
    distinct_by: DistinctBy = "approach"
    cpu_seconds: float = 3.0
    workers: int = 0
    modules: tuple[str, ...] = ()
    judge: JudgeMode = "split"
    memory_mb: int = 512
    output_mb: int = 4
    train_share: float = 0.0
    validation_share: float = 0.0
    only: tuple[str, ...] = ()
    _processing: PostProcessing = field(init=False, repr=False, compare=False)

    name: ClassVar[str]
    judges: ClassVar[bool] = True

    def __post_init__(self) -> None:
        object.__setattr__(self, "_processing", resolved(self.post_processing, strategy(self.strategy)))

    @property
    def problems(self) -> tuple[Problem, ...]:
        """All problems, in the order of their source."""
        raise NotImplementedError

    @property
    def judging(self) -> Judging:
        """How completions become verdicts."""
        own = {name: getattr(self, name) for name in Judging._fields}
        return Judging(**own | {"post_processing": self._processing})

    @property
    def prompting(self) -> Strategy:
        """The strategy with this task's own words: another system message, an instruction more.

        Raises:
            InputError: there is no such strategy, or its file is wrong.
        """
        how = strategy(self.strategy)
        how = how._replace(system=self.system) if self.system else how
        if not self.instruction:
            return how
        if how.chat and how.system:
            return how._replace(system=f"{how.system} {self.instruction}")
        return how._replace(user=f"{self.instruction}\n{how.user}" if how.chat else f"# {self.instruction}\n{how.user}")

    @property
    def reading(self) -> Reading:
        """The problems, and what of their source is none."""
        return Reading(self.problems)

    def asked(self, split: str) -> list[Problem]:
        """The problems of ``split``, of those that ``only`` names."""
        return chosen(self.problems, split, (self.train_share, self.validation_share), self.only)

    def prompts(self, split: str) -> tuple[Prompt, ...]:
        """The problems of ``split`` as the strategy puts them."""
        return prompts_of(self.asked(split), self.name, self.prompting)

    def examples(self, split: str) -> tuple[Example, ...]:
        """The problems of ``split`` with their gold programs."""
        return examples_of(self.asked(split), self.name, self.prompting)

    def grounds(self, prompts: Sequence[Prompt]) -> list[Any]:
        """The problem of each prompt with its tests, how the program is found, and the sandbox's limits."""
        how = {name: value for name, value in options(self).items() if name in Judging._fields and name != "workers"}
        known = {problem.id: problem for problem in self.problems}
        return [[how, written(known.get(prompt.id))] for prompt in prompts]

    def verify(self, prompt: Prompt, completion: Completion) -> Verdict:
        """PASSED when the program meets every test; see ``judging`` for the detail and the canonical answer."""
        return self.verify_many([prompt], [completion])[0]

    def verify_many(self, prompts: Sequence[Prompt], completions: Sequence[Completion]) -> list[Verdict]:
        """The same for many completions in one sandbox, much faster than one at a time.

        ABSENT for a prompt that is none of this task's.
        """
        known = {problem.id: problem for problem in self.problems}
        verdicts = [Verdict(Status.ABSENT, "the prompt is none of this task's")] * len(prompts)
        ours = [index for index, prompt in enumerate(prompts) if prompt.id in known]
        items = [(known[prompts[index].id], completions[index]) for index in ours]
        for place, verdict in verify_completions(items, self.judging) if items else ():
            verdicts[ours[place]] = verdict
        return verdicts


def judging_programs(task: Any, where: str) -> CodeTask:
    """The task, when it judges programs.

    Raises:
        InputError: it does not; the message names those on the shelf that do.
    """
    if isinstance(task, CodeTask):
        return task
    able = [kind for kind in kinds("tasks") if issubclass(kind_class("tasks", kind), CodeTask)]
    raise InputError(f"{where}: {task.name} judges no programs; allowed: {', '.join(able)}")


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


def prompts_of(problems: Sequence[Problem], name: str, how: Strategy) -> tuple[Prompt, ...]:
    """The problems as prompts of a strategy."""
    return tuple(
        Prompt(problem.id, content(problem, how), {"task": name, "entry_point": problem.entry_point})
        for problem in problems
    )


def examples_of(problems: Sequence[Problem], name: str, how: Strategy) -> tuple[Example, ...]:
    """The problems that have a gold program, with it as the strategy asks for it."""
    solved = [problem for problem in problems if problem.gold]
    golds = (demonstration(problem, how) for problem in solved)
    prompts = prompts_of(solved, name, how)
    return tuple(Example(prompt, gold) for prompt, gold in zip(prompts, golds, strict=True))
