"""Gate: completions that ended by themselves, say something and do not repeat themselves."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

from polychromic.core.errors import InputError
from polychromic.core.nouns import SampleSet, Verdict


@dataclass(frozen=True)
class Wellformed:
    """A completion counts when it has words and at most ``max_repetition`` of its n-grams are repeats of earlier ones.

    ``ngram`` is the length in words of what may not repeat. ``truncated``: whether a completion that was cut off at
    the token limit may count.
    """

    needs: ClassVar[tuple[str, ...]] = ()

    max_repetition: float = 0.5
    ngram: int = 3
    truncated: Literal["invalid", "valid"] = "invalid"

    def __post_init__(self) -> None:
        if not 0.0 <= self.max_repetition <= 1.0 or self.ngram < 1:
            raise InputError(
                "wellformed: max_repetition must lie in [0, 1] and ngram be at least 1, "
                f"not {self.max_repetition} and {self.ngram}"
            )

    def validity(self, samples: SampleSet, verdicts: Sequence[Verdict] | None) -> tuple[float, ...]:
        """1.0 or 0.0 for each completion."""
        return tuple(
            float((self.truncated == "valid" or one.finished) and self._says_something(one.text))
            for one in samples.completions
        )

    def _says_something(self, text: str) -> bool:
        words = text.split()
        return bool(words) and repetition(words, self.ngram) <= self.max_repetition


def repetition(words: Sequence[str], n: int) -> float:
    """Share in [0, 1) of the n-grams that occurred before in the same text; 0 for a text shorter than ``n``."""
    grams = [tuple(words[i : i + n]) for i in range(len(words) - n + 1)]
    return 1.0 - len(set(grams)) / len(grams) if grams else 0.0
