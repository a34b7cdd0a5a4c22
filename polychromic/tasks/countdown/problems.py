"""The problems: six numbers from 2 to 9 and a target, every answer of each, and which split each belongs to.

An answer uses three or four of the six numbers, each at most as often as it is given. A problem is asked only if it
has at least ``MIN_ANSWERS`` answers, so that there is something to be diverse about. A hash of the problem says which
pool it belongs to, the same for every seed: the embedded base is pretrained on one pool and never saw the others.
"""

from __future__ import annotations

import hashlib
import itertools
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Literal

from polychromic.tasks.countdown.expressions import Expression, expression

DIGITS = range(2, 10)
GIVEN = 6
USED = (3, 4)
TARGETS = range(10, 100)
MIN_ANSWERS = 5

Pool = Literal["pretraining", "train", "validation", "test"]
_POOL_ENDS: tuple[tuple[Pool, float], ...] = (
    ("test", 0.10),
    ("validation", 0.15),
    ("train", 0.35),
    ("pretraining", 1.0),
)


@dataclass(frozen=True, slots=True)
class Problem:
    """Six numbers, ascending, and the target to reach with three or four of them."""

    numbers: tuple[int, ...]
    target: int

    @property
    def text(self) -> str:
        """The prompt, such as ``2 3 5 7 8 9 = 42:``; the answer follows without a space."""
        return f"{' '.join(map(str, self.numbers))} = {self.target}:"

    @property
    def id(self) -> str:
        """A name that is the same in every run."""
        return f"countdown-{''.join(map(str, self.numbers))}-{self.target}"

    @property
    def pool(self) -> Pool:
        """The pool it belongs to, whatever the seed."""
        digest = hashlib.sha256(self.text.encode()).digest()
        share = int.from_bytes(digest[:8], "big") / 2**64
        return next(pool for pool, end in _POOL_ENDS if share < end)


def answers(numbers: Sequence[int], target: int) -> tuple[Expression, ...]:
    """Every answer of the problem, each once: fewest numbers first, then in the order of their canonical texts."""
    found = [answer for table in _tables(tuple(sorted(numbers))) for answer in table.get(target, ())]
    return tuple(sorted(found, key=lambda answer: (len(answer.numbers), answer.text)))


@cache
def expressions_by_value(numbers: tuple[int, ...]) -> Mapping[int, tuple[Expression, ...]]:
    """All expressions that use exactly these numbers, grouped by what they come to."""
    found: dict[int, set[Expression]] = defaultdict(set)
    for products in _groupings(numbers):
        for signs in itertools.product((True, False), repeat=len(products)):
            if any(signs):
                answer = expression(
                    itertools.compress(products, signs), itertools.compress(products, (not sign for sign in signs))
                )
                found[answer.value].add(answer)
    return {value: tuple(answers) for value, answers in found.items()}


def problems(pool: Pool, min_answers: int = MIN_ANSWERS) -> tuple[Problem, ...]:
    """The problems of ``pool`` that have at least ``min_answers`` answers, in a fixed order."""
    return tuple(
        problem
        for numbers in itertools.combinations_with_replacement(DIGITS, GIVEN)
        for target in _targets(numbers, min_answers)
        if (problem := Problem(numbers, target)).pool == pool
    )


def _targets(numbers: tuple[int, ...], min_answers: int) -> list[int]:
    tables = _tables(numbers)
    return [target for target in TARGETS if sum(len(table.get(target, ())) for table in tables) >= min_answers]


@cache
def _tables(numbers: tuple[int, ...]) -> list[Mapping[int, tuple[Expression, ...]]]:
    """What can be reached, for each different choice of numbers: choices differ, so no answer is in two of them."""
    choices = {choice for used in USED for choice in itertools.combinations(numbers, used)}
    return [expressions_by_value(choice) for choice in sorted(choices)]


def _groupings(numbers: tuple[int, ...]) -> Iterator[list[tuple[int, ...]]]:
    if not numbers:
        yield []
        return
    first, rest = numbers[0], numbers[1:]
    for groups in _groupings(rest):
        yield [(first,), *groups]
        for place, group in enumerate(groups):
            yield [*groups[:place], (first, *group), *groups[place + 1 :]]
