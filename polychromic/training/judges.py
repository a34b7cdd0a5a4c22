"""A plain function as the task of a trainer: TRL's reward functions judge completions."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from polychromic.core.errors import InputError
from polychromic.core.nouns import Completion, Example, Prompt, Status, Verdict

Judge = Callable[..., Sequence[Any]]


@dataclass(frozen=True)
class FunctionTask:
    """``function(prompts, completions, completion_ids, **columns)``, as TRL's GRPOTrainer calls its reward functions.

    Prompts and completions are texts, or lists of messages where the data set has conversations; ``columns`` are the
    data set's others. For each completion it gives 1 or True (right), 0, False or None (wrong), or a right one's
    canonical answer as text: completions with equal answers are the same answer. Without one the text is the answer.
    """

    function: Judge
    judges: ClassVar[bool] = True

    @property
    def name(self) -> str:
        """The function's."""
        return str(getattr(self.function, "__name__", type(self.function).__name__))

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
        """One verdict for each prompt and its completion, from one call.

        Raises:
            InputError: the function gives another number of values, or one that is neither right nor wrong.
        """
        names = dict.fromkeys(name for prompt in prompts for name in prompt.payload)
        columns = {name: [prompt.payload.get(name) for prompt in prompts] for name in names}
        found = list(
            self.function(
                prompts=[_content(prompt) for prompt in prompts],
                completions=[_answer(prompt, one) for prompt, one in zip(prompts, completions, strict=True)],
                completion_ids=[list(one.token_ids) for one in completions],
                **columns,
            )
        )
        if len(found) != len(completions):
            raise InputError(f"task {self.name}: gave {len(found)} values for {len(completions)} completions")
        return [self._verdict(value, one.text) for value, one in zip(found, completions, strict=True)]

    def _verdict(self, value: Any, text: str) -> Verdict:
        if isinstance(value, str):
            return Verdict(Status.PASSED, answer=value)
        if value is None or value == 0:
            return Verdict(Status.FAILED)
        if value == 1:
            return Verdict(Status.PASSED, answer=text.strip())
        raise InputError(
            f"task {self.name}: a judge says right (1, True, or the answer as text) or wrong (0, False, None), not "
            f"{value!r}; a quality in between belongs into a gate"
        )


def _content(prompt: Prompt) -> str | list[dict[str, str]]:
    if isinstance(prompt.content, str):
        return prompt.content
    return [{"role": turn.role, "content": turn.content} for turn in prompt.content]


def _answer(prompt: Prompt, completion: Completion) -> str | list[dict[str, str]]:
    if isinstance(prompt.content, str):
        return completion.text
    return [{"role": "assistant", "content": completion.text}]
