"""What the judges over anyone's rows share: where the rows come from, and the column that knows the right answer.

A judge is a task apart from the demonstrations: in training ``data`` says where rows come from and the judge looks at
their columns, which travel with every prompt; in evaluation ``path`` names the rows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from typing import Any, ClassVar, Literal

from polychromic.core.errors import InputError
from polychromic.core.nouns import Completion, Example, Prompt, Status, Verdict
from polychromic.core.protocols import Embedder
from polychromic.diversity.kernels import clusters
from polychromic.embedding.encoder import load_encoder
from polychromic.records.conversations import read_examples, read_prompts
from polychromic.records.sources import Source
from polychromic.settings.content import options

DistinctBy = Literal["answer", "text", "cluster"]


@dataclass(frozen=True)
class Rows:
    """``path``: the rows of an evaluation (JSONL, JSON, CSV, Parquet); none is needed where ``data`` gives the rows.

    ``dataset`` and ``subset``: a hub's data set in its place, whose split is the evaluation's. ``columns`` gives
    columns other names, as ``data.columns`` does. ``instruction`` is said at the end of every prompt.
    ``distinct_by`` says what makes two right completions different: their canonical ``answer``, their ``text`` (white
    space and case aside), or the ``cluster`` of their meaning: right texts of a prompt that are linked by cosine
    distances up to ``cluster_distance`` under ``encoder`` (as ``evaluation.encoder``) are one answer.
    """

    path: str = ""
    dataset: str = ""
    subset: str = ""
    columns: Mapping[str, str] = field(default_factory=dict)
    instruction: str = ""
    distinct_by: DistinctBy = "answer"
    encoder: str = ""
    cluster_distance: float = 0.3

    name: ClassVar[str]
    judges: ClassVar[bool] = True

    def prompts(self, split: str) -> Sequence[Prompt]:
        """The source's different prompts, in order.

        Raises:
            RecordError: a bad row.
            InputError: no source is given.
        """
        return [self._instructed(prompt) for prompt in read_prompts(self._source(split))]

    def examples(self, split: str) -> Sequence[Example]:
        """The source's demonstrations, in order.

        Raises:
            RecordError: a bad row, or there is none.
            InputError: no source is given.
        """
        found = read_examples(self._source(split))
        return [replace(example, prompt=self._instructed(example.prompt)) for example in found]

    def _instructed(self, prompt: Prompt) -> Prompt:
        if not self.instruction:
            return prompt
        if isinstance(prompt.content, str):
            return replace(prompt, content=f"{prompt.content}\n\n{self.instruction}")
        *before, last = prompt.content
        return replace(prompt, content=(*before, replace(last, content=f"{last.content}\n\n{self.instruction}")))

    def grounds(self, prompts: Sequence[Prompt]) -> list[Any]:
        """The options; not the rows, of which each prompt carries its own."""
        return [options(self, leave_out=("path", "dataset", "subset", "columns", "instruction"))] * len(prompts)

    def _source(self, split: str) -> Source:
        if bool(self.path) == bool(self.dataset):
            raise InputError(f"{self.name}: path must name a file of rows (or dataset one of the hub)")
        return Source(self.path, self.dataset, self.subset or None, split, self.columns)

    def gold(self, prompt: Prompt) -> str | None:
        """A right completion as the row's own column has it, to try the judge by; None where it cannot be told."""
        return None

    def right(self, completion: Completion, answer: str | None) -> Verdict:
        """PASSED with what tells this completion from other right ones."""
        if self.distinct_by != "answer":
            return Verdict(Status.PASSED, answer=folded(completion.text))
        return Verdict(Status.PASSED, answer=answer)

    def standing_for(self, texts: Sequence[str]) -> list[str] | None:
        """For each of a prompt's right texts the answer it counts as: its cluster's first text.

        None where an answer does not depend on the others.

        Raises:
            MissingResourceError: the encoder is not to be had.
        """
        if self.distinct_by != "cluster":
            return None
        labels = clusters(_encoder(self.encoder or None).embed(texts), self.cluster_distance).tolist()
        first = {label: folded(text) for label, text in reversed(list(zip(labels, texts, strict=True)))}
        return [first[label] for label in labels]


@cache
def _encoder(name: str | None) -> Embedder:
    return load_encoder(name)


def folded(text: str) -> str:
    """The text with white space and case aside."""
    return " ".join(text.casefold().split())


def column(prompt: Prompt, name: str) -> Any:
    """The value of a row's column; None where the row has none."""
    return prompt.payload.get(name)


def absent(name: str) -> Verdict:
    """The verdict on a row without the column that knows the right answer."""
    return Verdict(Status.ABSENT, f"the row has no column {name!r}")


def right_answers(value: Any) -> tuple[Any, ...]:
    """The right answers of a column: one value, or a list of them."""
    return tuple(value) if isinstance(value, list | tuple) else (value,)
