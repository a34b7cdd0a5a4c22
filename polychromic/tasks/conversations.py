"""Users' own prompts as a task that nobody can judge: diversity is measured, correctness is absent."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from polychromic.core.errors import InputError
from polychromic.core.nouns import Completion, Prompt, Status, Verdict
from polychromic.tasks._rows import Rows


@dataclass(frozen=True)
class Conversations(Rows):
    """The prompts of a file or of a hub's data set, with or without demonstrations; nobody judges."""

    name: ClassVar[str] = "conversations"
    judges: ClassVar[bool] = False

    def __post_init__(self) -> None:
        if not self.path and not self.dataset:
            raise InputError("conversations: path must name a file of rows, or dataset one of the hub")

    def verify(self, prompt: Prompt, completion: Completion) -> Verdict:
        """ABSENT: a free answer has no checker."""
        return Verdict(Status.ABSENT, "this data has no checker")
