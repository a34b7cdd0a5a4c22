"""A judge without a checker: right is what is close enough to the row's own reference, by chrF."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from polychromic.core.errors import InputError
from polychromic.core.nouns import Completion, Prompt, Status, Verdict
from polychromic.tasks._rows import DistinctBy, Rows, absent, column, right_answers


@dataclass(frozen=True)
class Reference(Rows):
    """Right is a completion whose chrF (W15-3049, sacrebleu's, in [0, 1]) against the row's ``column`` is high enough.

    That is, at least ``threshold`` in (0, 1]; ``polychromic audit`` shows which controls it lets pass. Of several
    references the best counts. Completions differ by their text unless told otherwise.
    """

    distinct_by: DistinctBy = "text"
    column: str = "reference"
    threshold: float = 0.5

    name: ClassVar[str] = "reference"

    def __post_init__(self) -> None:
        if not 0.0 < self.threshold <= 1.0:
            raise InputError(f"reference: threshold must lie in (0, 1], not {self.threshold}")

    def verify(self, prompt: Prompt, completion: Completion) -> Verdict:
        """PASSED from the threshold on, FAILED with the score below it, ABSENT without the column."""
        from polychromic.diversity.overlap import chrf, score

        known = column(prompt, self.column)
        if known is None:
            return absent(self.column)
        if not completion.finished:
            return Verdict(Status.FAILED, "the answer was cut off")
        found = score(chrf(), completion.text, [str(right) for right in right_answers(known)])
        if found >= self.threshold:
            return self.right(completion, " ".join(completion.text.split()))
        return Verdict(Status.FAILED, f"chrF {found:.3f} of {self.threshold:g}")

    def gold(self, prompt: Prompt) -> str | None:
        """The first reference itself."""
        known = right_answers(column(prompt, self.column))
        return None if not known or known[0] is None else str(known[0])
