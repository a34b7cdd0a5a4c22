"""The post-processing that reads an answer: the code in it that defines what was asked for."""

from __future__ import annotations

from dataclasses import dataclass

from polychromic.code.extraction import Extraction, extract


@dataclass(frozen=True)
class Ast:
    """The program of an answer with fences, thoughts and prose, found by its syntax."""

    def program(self, text: str, entry_point: str, prompt: str) -> Extraction:
        """The program that defines ``entry_point``, whole; see ``extract``."""
        return extract(text, entry_point, prompt)
