"""A judge that is somebody's Python function, with the signature of TRL's reward functions."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

from polychromic.core.errors import InputError
from polychromic.core.nouns import Completion, Prompt, Status, Verdict
from polychromic.records.samples import content_out
from polychromic.settings import outside
from polychromic.tasks._rows import DistinctBy, Rows

Judge = Callable[..., Sequence[Any]]


@dataclass(frozen=True)
class Function(Rows):
    """Right is a completion that every one of ``functions`` gives at least ``threshold``.

    A function is ``./judge.py:name`` or ``package.module:name`` and takes ``prompts``, ``completions`` and every column
    of the rows as a keyword, all lists of one length (conversations as message lists), as TRL's reward functions do.
    It answers with a list: numbers, booleans, None (not judged), (number, answer) pairs or ``polychromic.Verdict``.
    ``deadline`` is in seconds for one call.
    """

    functions: str | tuple[str, ...] = ()
    threshold: float = 0.5
    deadline: float = 600.0
    distinct_by: DistinctBy = "text"
    loaded: tuple[Judge, ...] = field(init=False, repr=False, compare=False, default=())

    name: ClassVar[str] = "function"

    def __post_init__(self) -> None:
        named = (self.functions,) if isinstance(self.functions, str) else self.functions
        if not named:
            raise InputError("function: functions must name one, such as ./judge.py:correct")
        if not self.deadline > 0:
            raise InputError(f"function: deadline must be above 0 seconds, not {self.deadline}")
        found = tuple(outside.load(each) for each in named)
        for each, function in zip(named, found, strict=True):
            if not callable(function):
                raise InputError(f"function: {each} is no function")
        object.__setattr__(self, "loaded", found)

    def verify(self, prompt: Prompt, completion: Completion) -> Verdict:
        """As ``verify_many``, for one completion."""
        return self.verify_many([prompt], [completion])[0]

    def verify_many(self, prompts: Sequence[Prompt], completions: Sequence[Completion]) -> list[Verdict]:
        """One verdict for each completion; a completion that was cut off fails, and is not shown.

        Raises:
            InputError: a function raises, answers late, or does not answer once for each completion.
        """
        shown = [index for index, completion in enumerate(completions) if completion.finished]
        found = [Verdict(Status.FAILED, "the answer was cut off")] * len(completions)
        if not shown:
            return found
        asked = _columns([prompts[index] for index in shown], [completions[index] for index in shown])
        answers = [self._answers(function, asked, len(shown)) for function in self.loaded]
        for place, index in enumerate(shown):
            found[index] = self._joined(completions[index], [row[place] for row in answers])
        return found

    def _answers(self, function: Judge, asked: dict[str, list[Any]], size: int) -> Sequence[Any]:
        name = getattr(function, "__name__", type(function).__name__)
        answers = in_time(f"function {name}", lambda: function(**asked), self.deadline)
        if not isinstance(answers, Sequence) or len(answers) != size:
            got = f"{len(answers)} answers" if isinstance(answers, Sequence) else type(answers).__name__
            raise InputError(f"function {name}: must answer once for each of {size} completions, gave {got}")
        return answers

    def _joined(self, completion: Completion, answers: Sequence[Any]) -> Verdict:
        """One verdict from every function's answer: absent if one is, failed if one is, else passed."""
        verdicts = [self._verdict(completion, answer) for answer in answers]
        for status in (Status.ABSENT, Status.FAILED):
            for verdict in verdicts:
                if verdict.status is status or (status is Status.FAILED and not verdict.passed):
                    return verdict
        return verdicts[0]

    def _verdict(self, completion: Completion, answer: Any) -> Verdict:
        if isinstance(answer, Verdict):
            return answer
        value, said = answer if isinstance(answer, tuple) and len(answer) == 2 else (answer, None)
        if value is None:
            return Verdict(Status.ABSENT, "the function did not judge it")
        try:
            number = float(value)
        except (TypeError, ValueError):
            raise InputError(
                f"function: an answer must be a number, a boolean, None or a Verdict, not {value!r:.60}"
            ) from None
        if number != number:
            return Verdict(Status.ABSENT, "the function answered with no number")
        if number < self.threshold:
            return Verdict(Status.FAILED, f"{number:g} of {self.threshold:g}")
        return Verdict(Status.PASSED, answer=str(said)) if said is not None else self.right(completion, None)


def _columns(prompts: Sequence[Prompt], completions: Sequence[Completion]) -> dict[str, list[Any]]:
    """The keywords of TRL's reward functions: prompts, completions, and every column."""
    names = sorted({name for prompt in prompts for name in prompt.payload if name.isidentifier()})
    rows: dict[str, list[Any]] = {name: [prompt.payload.get(name) for prompt in prompts] for name in names}
    rows["prompts"] = [content_out(prompt) for prompt in prompts]
    rows["completions"] = [
        completion.text if isinstance(prompt.content, str) else [{"role": "assistant", "content": completion.text}]
        for prompt, completion in zip(prompts, completions, strict=True)
    ]
    return rows


def in_time(name: str, work: Callable[[], Any], deadline: float) -> Any:
    """What the work gives, within so many seconds.

    Raises:
        InputError: it raised, or it is not done yet; a thread that hangs is left behind.
    """
    found: list[Any] = []
    fault: list[BaseException] = []

    def call() -> None:
        try:
            found.append(work())
        except Exception as error:  # noqa: BLE001 - somebody else's code may raise anything
            fault.append(error)

    thread = threading.Thread(target=call, daemon=True, name=f"judge {name}")
    thread.start()
    thread.join(deadline)
    if thread.is_alive():
        raise InputError(f"{name}: no answer within {deadline:g} s")
    if fault:
        reason = str(fault[0]).partition("\n")[0]
        raise InputError(f"{name}: raised {type(fault[0]).__name__}: {reason}") from fault[0]
    return found[0]
