"""No post-processing."""

from __future__ import annotations

from dataclasses import dataclass

from polychromic.code.extraction import Extraction, as_written


@dataclass(frozen=True)
class AsGiven:
    """The text itself."""

    def program(self, text: str, entry_point: str, prompt: str) -> Extraction:
        """The text as it stands."""
        return as_written(text, "as_given")
