"""What the judges over anyone's rows share: where the rows come from, and the column that knows the right answer.

A judge is a task apart from the demonstrations: in training ``data`` says where rows come from and the judge looks at
their columns, which travel with every prompt; in evaluation ``path`` names the rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from polychromic.core.errors import InputError
from polychromic.core.nouns import Completion, Example, Prompt, Status, Verdict
from polychromic.records.conversations import read_examples, read_prompts
from polychromic.settings.sources import options

DistinctBy = Literal["answer", "text"]


@dataclass(frozen=True)
class Rows:
    """``path``: the rows of an evaluation (JSONL), whatever the split; none is needed where ``data`` gives the rows.

    ``distinct_by`` says what makes two right completions different: their canonical ``answer``, or their ``text``
    (white space and case aside), for free text where one answer has many forms.
    """

    path: str = ""
    distinct_by: DistinctBy = "answer"

    name: ClassVar[str]
    judges: ClassVar[bool] = True

    def prompts(self, split: str) -> Sequence[Prompt]:
        """The file's different prompts, in order.

        Raises:
            RecordError: a bad row.
            InputError: no path is given.
        """
        return read_prompts(self._path())

    def examples(self, split: str) -> Sequence[Example]:
        """The file's demonstrations, in order.

        Raises:
            RecordError: a bad row, or there is none.
            InputError: no path is given.
        """
        return read_examples(self._path())

    def grounds(self, prompts: Sequence[Prompt]) -> list[Any]:
        """The options; not the rows, of which each prompt carries its own."""
        return [options(self, leave_out=("path",))] * len(prompts)

    def _path(self) -> str:
        if not self.path:
            raise InputError(f"{self.name}: path must name a JSONL file, where data.train_file gives no rows")
        return self.path

    def right(self, completion: Completion, answer: str | None) -> Verdict:
        """PASSED with what tells this completion from other right ones."""
        if self.distinct_by == "text":
            return Verdict(Status.PASSED, answer=" ".join(completion.text.casefold().split()))
        return Verdict(Status.PASSED, answer=answer)


def column(prompt: Prompt, name: str) -> Any:
    """The value of a row's column; None where the row has none."""
    return prompt.payload.get(name)


def absent(name: str) -> Verdict:
    """The verdict on a row without the column that knows the right answer."""
    return Verdict(Status.ABSENT, f"the row has no column {name!r}")


def right_answers(value: Any) -> tuple[Any, ...]:
    """The right answers of a column: one value, or a list of them."""
    return tuple(value) if isinstance(value, list | tuple) else (value,)
