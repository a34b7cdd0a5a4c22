"""The simplest scorer: how long a candidate is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from polychromic.code.candidates import Candidates


@dataclass(frozen=True)
class Length:
    """Characters of the program or text; ``prefer`` says which end is taken for better."""

    prefer: Literal["short", "long"] = "short"

    def scores(self, candidates: Candidates) -> tuple[float, ...]:
        """The length, negative when short is preferred; an answer without a program comes last."""
        sign = 1 if self.prefer == "long" else -1
        sizes = [len(source.strip()) for source in candidates.sources()]
        last = -1.0 - max(sizes, default=0)
        return tuple(float(sign * size) if size else last for size in sizes)
