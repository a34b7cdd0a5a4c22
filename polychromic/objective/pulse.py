"""Whether the diversity term did anything in a step, and if not, why: the first cause that explains it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Self

NAMES = {
    "dead": "frac_reward_zero_std",
    "valid": "polychromic/frac_valid",
    "clipped": "completions/clipped_ratio",
    "judged": "polychromic/frac_judged",
    "value": "polychromic/diversity_value",
}
"""The logged numbers that a pulse is read from."""
FULL = 1.0 - 1e-9
"""From this worth on a set has nothing to gain."""


@dataclass(frozen=True, slots=True)
class Pulse:
    """Of the samples of a step, in [0, 1]: sets whose credit is all equal, samples past the gate, cut off, judged.

    ``value`` is the mean worth of their sets, at most 1. All are NaN where nothing was drawn, ``judged`` also where
    there is no task. Ranks agree on them.
    """

    dead: float = math.nan
    valid: float = math.nan
    clipped: float = math.nan
    judged: float = math.nan
    value: float = math.nan

    @classmethod
    def of(cls, report: Mapping[str, float] | None) -> Self:
        """From the numbers of a step; None where there are no samples."""
        return cls(*((report or {}).get(NAMES[part.name], math.nan) for part in fields(cls)))

    @property
    def numbers(self) -> list[float]:
        """The fields in order."""
        return [getattr(self, part.name) for part in fields(self)]

    @property
    def why_dead(self) -> str:
        """Why the samples of the step teach nothing; empty when they do."""
        if math.isnan(self.dead):
            return "nothing was drawn"
        if self.dead < 1.0:
            return ""
        if self.judged == 0.0:
            return "no sample has a verdict"
        if self.valid == 0.0:
            return "no sample ends within max_new_tokens" if self.clipped == 1.0 else "the gate lets no sample through"
        if self.value >= FULL:
            return "every set is worth all it can be"
        return "the samples of each prompt have equal credit"


ADVICE = {
    "nothing was drawn": "are the prompts longer than the model's context?",
    "no sample has a verdict": "can data.task judge these prompts?",
    "no sample ends within max_new_tokens": "raise polychromic.max_new_tokens",
    "the gate lets no sample through": "can the model solve the task at all? more SFT first, or another gate",
    "every set is worth all it can be": "a larger polychromic.set_size or a stricter gate asks for more",
    "the samples of each prompt have equal credit": "raise polychromic.n_generations or temperature",
}
"""What to look at, by reason."""
