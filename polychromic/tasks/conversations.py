"""Users' own prompts as a task that nobody can judge: diversity is measured, correctness is absent."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from polychromic.core.errors import InputError
from polychromic.core.nouns import Completion, Example, Prompt, Status, Verdict
from polychromic.records.conversations import read_examples, read_prompts


@dataclass(frozen=True)
class Conversations:
    """The prompts of a JSONL file (``prompt``, ``prompt`` + ``completion``, or ``messages``), whatever the split."""

    path: str = ""

    name: ClassVar[str] = "conversations"
    judges: ClassVar[bool] = False

    def __post_init__(self) -> None:
        if not self.path:
            raise InputError("conversations: path must name a JSONL file")

    def prompts(self, split: str) -> Sequence[Prompt]:
        """The file's different prompts, in order; raises RecordError for a bad row."""
        return read_prompts(self.path)

    def examples(self, split: str) -> Sequence[Example]:
        """The file's demonstrations; raises RecordError for a bad row, or when there is none."""
        return read_examples(self.path)

    def verify(self, prompt: Prompt, completion: Completion) -> Verdict:
        """ABSENT: a free answer has no checker."""
        return Verdict(Status.ABSENT, "this data has no checker")
