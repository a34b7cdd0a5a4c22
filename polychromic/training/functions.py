"""Plain functions in the place of a reward, a gate or a task.

A reward is a function of a list of texts: the worth in [0, 1] of that set. Gates and tasks have the signature of TRL's
reward functions, ``f(prompts, completions, **columns) -> list``: ``columns`` are the data set's other columns and
``completion_ids``; prompts and completions are texts, or lists of messages where the data set has conversations.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from polychromic.core.errors import InputError
from polychromic.core.nouns import Completion, Example, Prompt, SampleSet, SetFunction, Status, Verdict
from polychromic.core.protocols import Form

Judge = Callable[..., Sequence[Any]]


@dataclass(frozen=True)
class FunctionReward:
    """``function`` of the valid completions' texts, times their share of the set."""

    function: Callable[[list[str]], float]
    form: ClassVar[Form] = "set function"
    needs: ClassVar[tuple[str, ...]] = ()

    def evidence(self, samples: SampleSet, verdicts: Sequence[Verdict] | None) -> SetFunction:
        """A set function in [0, 1]."""

        def value(members: Sequence[int], size: int) -> float:
            if not members:
                return 0.0
            worth = float(self.function([samples.texts[i] for i in members]))
            if not 0.0 <= worth <= 1.0:
                raise InputError(f"reward {name_of(self.function)}: a set's worth lies in [0, 1], not {worth}")
            return worth * len(members) / size

        return SetFunction(value, len(samples.completions))


@dataclass(frozen=True)
class FunctionGate:
    """Which completions count, as ``function`` says: for each a number in [0, 1], True or False."""

    function: Judge
    needs: ClassVar[tuple[str, ...]] = ()

    def validity(self, samples: SampleSet, verdicts: Sequence[Verdict] | None) -> tuple[float, ...]:
        """One number in [0, 1] for each completion; None and NaN count as 0."""
        prompts = [samples.prompt] * len(samples.completions)
        found = [0.0 if value is None else float(value) for value in asked(self.function, prompts, samples.completions)]
        outside = [value for value in found if value < 0.0 or value > 1.0]
        if outside:
            raise InputError(f"gate {name_of(self.function)}: validity lies in [0, 1], not {outside[0]}")
        return tuple(0.0 if math.isnan(value) else value for value in found)


@dataclass(frozen=True)
class FunctionTask:
    """A judge of completions without prompts of its own.

    For each completion ``function`` gives True or 1 (right), False, 0 or None (wrong), or the canonical answer of a
    right one as text: completions with equal answers are the same answer. Without one the whole text is the answer.
    """

    function: Judge
    judges: ClassVar[bool] = True

    @property
    def name(self) -> str:
        """The function's."""
        return name_of(self.function)

    def prompts(self, split: str) -> Sequence[Prompt]:
        """None: the data set has them."""
        return ()

    def examples(self, split: str) -> Sequence[Example]:
        """None: the data set has them."""
        return ()

    def verify(self, prompt: Prompt, completion: Completion) -> Verdict:
        """The verdict on one completion."""
        return self.verify_many([prompt], [completion])[0]

    def verify_many(self, prompts: Sequence[Prompt], completions: Sequence[Completion]) -> list[Verdict]:
        """One verdict for each prompt and its completion, from one call."""
        found = asked(self.function, prompts, completions)
        return [self._verdict(value, one.text) for value, one in zip(found, completions, strict=True)]

    def _verdict(self, value: Any, text: str) -> Verdict:
        if isinstance(value, str):
            return Verdict(Status.PASSED, answer=value)
        if value is None or value == 0:
            return Verdict(Status.FAILED)
        if value == 1:
            return Verdict(Status.PASSED, answer=text.strip())
        raise InputError(
            f"task {self.name}: a judge says right (1, True or the answer's text) or wrong (0, False, None), not "
            f"{value!r}; numbers in between belong to gate="
        )


def asked(function: Judge, prompts: Sequence[Prompt], completions: Sequence[Completion]) -> list[Any]:
    """What a function of TRL's signature says about each completion.

    Raises:
        InputError: it gives another number of values.
    """
    names = dict.fromkeys(name for prompt in prompts for name in prompt.payload)
    columns: Mapping[str, list[Any]] = {name: [prompt.payload.get(name) for prompt in prompts] for name in names}
    talks = [not isinstance(prompt.content, str) for prompt in prompts]
    answers = [
        [{"role": "assistant", "content": one.text}] if talk else one.text
        for one, talk in zip(completions, talks, strict=True)
    ]
    found = list(
        function(
            prompts=[_content(prompt) for prompt in prompts],
            completions=answers,
            completion_ids=[list(one.token_ids) for one in completions],
            **columns,
        )
    )
    if len(found) != len(completions):
        raise InputError(f"{name_of(function)}: gave {len(found)} values for {len(completions)} completions")
    return found


def name_of(function: Callable[..., Any]) -> str:
    """What messages call it."""
    return str(getattr(function, "__name__", type(function).__name__))


def _content(prompt: Prompt) -> str | list[dict[str, str]]:
    if isinstance(prompt.content, str):
        return prompt.content
    return [{"role": turn.role, "content": turn.content} for turn in prompt.content]
