"""The Countdown task as the shelf's dataclass."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, ClassVar

from polychromic.core.errors import InputError
from polychromic.core.nouns import Completion, Example, Prompt, Status, Verdict
from polychromic.core.seeds import child_seed
from polychromic.tasks.countdown.expressions import Expression, NotAnExpressionError, parse
from polychromic.tasks.countdown.problems import USED, Pool, Problem, answers, problems

SPLITS: Mapping[str, Pool] = {"train": "train", "validation": "validation", "test": "test"}


BASES = {"countdown": "base", "countdown-early": "early"}
"""Folders of the embedded bases: the whole recipe, and its first 125 steps (a base that seldom finds an answer)."""


def base_path(name: str = "countdown") -> Path:
    """The folder of an embedded base model, to be given to ``AutoModelForCausalLM`` and ``AutoTokenizer``."""
    return Path(__file__).parent / BASES[name]


@dataclass(frozen=True)
class Countdown:
    """Prompts such as ``2 3 5 7 8 9 = 42:``; right is any ``+ - *`` expression of three or four of the numbers.

    ``seed`` draws the problems of each split from that split's pool, which is the same for every seed. The
    demonstrations follow one narrow rule: of all answers, the first one by number count and then alphabet.
    """

    seed: int = 0
    train_size: int = 4096
    validation_size: int = 200
    test_size: int = 400

    name: ClassVar[str] = "countdown"
    judges: ClassVar[bool] = True

    def prompts(self, split: str) -> tuple[Prompt, ...]:
        """The problems of ``split``, each once.

        Raises:
            InputError: when ``split`` is unknown or its pool is smaller than the size asked for.
        """
        return _prompts(split, self._size(split), self.seed)

    def examples(self, split: str) -> tuple[Example, ...]:
        """Each problem of ``split`` with its one demonstration.

        Raises:
            InputError: as for :meth:`prompts`.
        """
        return tuple(Example(prompt, self.answers(prompt)[0]) for prompt in self.prompts(split))

    def answers(self, prompt: Prompt) -> tuple[str, ...]:
        """All right answers of ``prompt`` in canonical form, the demonstration's first."""
        numbers, target = _question(prompt.payload)
        return tuple(answer.text for answer in answers(numbers, target))

    def verify(self, prompt: Prompt, completion: Completion) -> Verdict:
        """PASSED with the canonical answer, FAILED with what is wrong, ABSENT when the prompt is not one of ours."""
        try:
            numbers, target = _question(prompt.payload)
        except (KeyError, TypeError, ValueError):
            return Verdict(Status.ABSENT, "the prompt's payload has no numbers and target")
        if not completion.finished:
            return Verdict(Status.FAILED, "the answer was cut off")
        try:
            answer = parse(completion.text)
        except NotAnExpressionError as error:
            return Verdict(Status.FAILED, f"not an expression: {error}")
        fault = _fault(answer, numbers, target)
        return Verdict(Status.FAILED, fault) if fault else Verdict(Status.PASSED, answer=answer.text)

    def _size(self, split: str) -> int:
        sizes = {"train": self.train_size, "validation": self.validation_size, "test": self.test_size}
        if split not in sizes:
            raise InputError(f"countdown has no split {split!r}; allowed: {', '.join(sizes)}")
        return sizes[split]


@cache
def _prompts(split: str, size: int, seed: int) -> tuple[Prompt, ...]:
    pool = problems(SPLITS[split])
    if not 1 <= size <= len(pool):
        raise InputError(f"countdown: {split}_size is {size}; allowed: 1 to {len(pool)}")
    draw = random.Random(child_seed(seed, "countdown", split))
    return tuple(as_prompt(problem) for problem in draw.sample(pool, size))


def as_prompt(problem: Problem) -> Prompt:
    """The prompt that asks ``problem``."""
    return Prompt(problem.id, problem.text, {"numbers": list(problem.numbers), "target": problem.target})


def _question(payload: Mapping[str, Any]) -> tuple[tuple[int, ...], int]:
    return tuple(int(number) for number in payload["numbers"]), int(payload["target"])


def _fault(answer: Expression, numbers: Sequence[int], target: int) -> str:
    used = answer.numbers
    extra = Counter(used) - Counter(numbers)
    if extra:
        number = min(extra)
        return f"it uses {number} {'more often than given' if number in numbers else 'which is not given'}"
    if len(used) not in USED:
        return f"it uses {len(used)} numbers, not {' or '.join(map(str, USED))}"
    return "" if answer.value == target else f"it comes to {answer.value}, not {target}"
