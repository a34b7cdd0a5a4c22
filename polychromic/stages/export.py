"""samples.jsonl and verdicts.jsonl -> demonstrations: the right answers of an evaluation, each different one once."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from polychromic.core.errors import InputError, MissingResourceError
from polychromic.core.nouns import Completion, Prompt
from polychromic.records.evaluation import EvaluationFolder, Folder, opened
from polychromic.records.jsonl import write_rows
from polychromic.records.samples import content_out
from polychromic.records.verdicts import verdicts_of

Found = dict[str, tuple[Prompt, dict[str, Completion]]]
"""By prompt id: the prompt, and its right completions by canonical answer."""


@dataclass(frozen=True, slots=True)
class Exported:
    """What was written: ``rows`` of ``prompts``; ``unanswered`` prompts have no right answer, ``passed`` samples do."""

    path: Path
    rows: int
    prompts: int
    unanswered: int
    passed: int

    def lines(self) -> list[str]:
        """The export as a person reads it."""
        return [
            f"{self.rows} different right answers of {self.prompts} prompts, from {self.passed} samples that passed; "
            f"{self.unanswered} prompts have none",
            str(self.path),
        ]


def run(folder: Folder, out: str | Path, models: Sequence[str] = (), per_prompt: int | None = None) -> Exported:
    """Writes a data file that ``data.train_file`` reads: prompt and completion, at most ``per_prompt`` of one prompt.

    Of equal answers the one drawn first stays, and of many those drawn first; a sample that was cut off is left out.
    ``models`` are those whose samples count, all of them when it is empty.

    Raises:
        MissingResourceError: the folder has no samples.
        InputError: it has no such model, or nothing passed.
    """
    folder = opened(folder)
    if not folder.sets():
        raise MissingResourceError(f"{folder.samples}: there are no samples; draw some with `polychromic sample`")
    known = dict.fromkeys(stored.model for stored in folder.sets())
    for name in models:
        if name not in known:
            raise InputError(f"{folder.samples}: has no model {name!r}; there are {', '.join(known)}")
    found, passed = _right(folder, models or list(known))
    rows = [row for prompt, answers in found.values() for row in _rows(prompt, list(answers.values())[:per_prompt])]
    if not rows:
        raise InputError(f"{folder.path}: no finished sample passed, so there is nothing to learn from")
    write_rows(out, rows)
    answered = sum(bool(answers) for _, answers in found.values())
    return Exported(Path(out), len(rows), answered, len(found) - answered, passed)


def _right(folder: EvaluationFolder, models: Sequence[str]) -> tuple[Found, int]:
    """The different right completions of each prompt, and how many samples passed."""
    verdicts, found, passed = folder.judged(), Found(), 0
    for stored in folder.sets():
        if stored.model not in models:
            continue
        _, answers = found.setdefault(stored.samples.prompt.id, (stored.samples.prompt, {}))
        for completion, verdict in zip(stored.samples.completions, verdicts_of(stored, verdicts), strict=True):
            if verdict.passed and completion.finished and completion.text.strip():
                passed += 1
                answers.setdefault(completion.text if verdict.answer is None else verdict.answer, completion)
    return found, passed


def _rows(prompt: Prompt, completions: Sequence[Completion]) -> Iterator[dict[str, Any]]:
    for completion in completions:
        yield {**prompt.payload, "id": prompt.id, "prompt": content_out(prompt), "completion": completion.text}
