"""The post-processing of HumanEval's own harness."""

from __future__ import annotations

from dataclasses import dataclass

from polychromic.code.extraction import Extraction, as_written


@dataclass(frozen=True)
class Completion:
    """Prompt and text joined unchanged."""

    def program(self, text: str, entry_point: str, prompt: str) -> Extraction:
        """The prompt continued by the text, as they stand."""
        return as_written(prompt + text, "prompt_and_text")
