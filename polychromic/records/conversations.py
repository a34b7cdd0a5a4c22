"""Users' rows to Examples and Prompts, with ids that stay the same from run to run.

A row is ``prompt`` + ``completion`` (strings, or lists of messages), ``messages`` (ending with the assistant), or
``prompt`` alone. ``id`` is optional: without it the id is a hash of the prompt. Other columns become the prompt's
payload.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from polychromic.core.errors import RecordError
from polychromic.core.nouns import Example, Message, Prompt
from polychromic.records.jsonl import scan_rows
from polychromic.records.samples import content_in, content_out

OnBadRow = Callable[[RecordError], None]


def refuse(error: RecordError) -> None:
    """Stops at the first bad row, by raising its error; ``list.append`` in its place collects them instead."""
    raise error


@dataclass(frozen=True, slots=True)
class Row:
    """One row of a user's file; ``example`` has an empty demonstration when the row is a prompt alone."""

    line: int
    form: str
    example: Example

    @property
    def demonstrated(self) -> bool:
        """Whether the row has something to learn."""
        return self.form != PROMPT_ONLY


PROMPT_ONLY = "prompt only"


def read_examples(path: str | Path, on_bad_row: OnBadRow = refuse) -> list[Example]:
    """The demonstrations of a file, in order.

    Raises:
        RecordError: ``file:line: reason`` for a row that is no demonstration (unless ``on_bad_row`` lets it pass), or
            the file holds none at all.
    """
    found = []
    for row in read_conversations(path, on_bad_row):
        if row.demonstrated:
            found.append(row.example)
        else:
            on_bad_row(RecordError(f"{path}:{row.line}: there is nothing to learn: the row has no completion"))
    if not found:
        raise RecordError(f"{path}: holds no demonstration; a row needs prompt and completion, or messages")
    return found


def read_prompts(path: str | Path, on_bad_row: OnBadRow = refuse) -> list[Prompt]:
    """The prompts of a file without repetitions, in order; demonstrations are passed over.

    Raises:
        RecordError: ``file:line: reason`` for a bad row, or the file holds no prompt.
    """
    found = {row.example.prompt.id: row.example.prompt for row in read_conversations(path, on_bad_row)}
    if not found:
        raise RecordError(f"{path}: holds no prompt")
    return list(found.values())


def read_conversations(path: str | Path, on_bad_row: OnBadRow = refuse) -> list[Row]:
    """Every good row of a file, in order; bad ones go to ``on_bad_row``.

    Raises:
        RecordError: raised by ``on_bad_row`` (``refuse``, the default, raises the first).
    """
    found: list[Row] = []
    first_with: dict[str, tuple[int, Any]] = {}
    for line, values in scan_rows(path):
        if isinstance(values, RecordError):
            on_bad_row(values)
            continue
        try:
            row = conversation(values, line)
        except ValueError as error:
            on_bad_row(RecordError(f"{path}:{line}: {error}"))
            continue
        prompt = row.example.prompt
        earlier, content = first_with.setdefault(prompt.id, (line, prompt.content))
        if content != prompt.content:
            on_bad_row(RecordError(f"{path}:{line}: the id is that of line {earlier}, which has another prompt"))
            continue
        found.append(row)
    return found


def conversation(values: Mapping[str, Any], line: int = 0) -> Row:
    """A row's values as prompt and demonstration.

    Raises:
        ValueError: what is wrong with the row, without its content.
    """
    rest = {key: value for key, value in values.items() if key not in ("prompt", "completion", "messages", "id")}
    if "messages" in values and "prompt" not in values:
        form, content, demonstration = "messages", *_from_messages(values["messages"])
    elif "prompt" not in values:
        raise ValueError("expected prompt and completion, messages, or prompt")
    elif values.get("completion") is None:
        form, content, demonstration = PROMPT_ONLY, _prompt(values["prompt"]), ""
    else:
        form, content = "prompt + completion", _prompt(values["prompt"])
        demonstration = _completion(values["completion"])
    prompt = Prompt(_identity(values.get("id"), content), content, rest)
    return Row(line, form, Example(prompt, demonstration))


def _identity(given: Any, content: str | tuple[Message, ...]) -> str:
    if isinstance(given, bool) or not isinstance(given, str | int | None) or given == "":
        raise ValueError("the id must be a string or an integer")
    if given is not None:
        return str(given)
    return hashlib.sha256(json.dumps(content_out(Prompt("", content))).encode()).hexdigest()[:12]


def _from_messages(value: Any) -> tuple[str | tuple[Message, ...], str]:
    turns = content_in(value)
    if isinstance(turns, str) or len(turns) < 2:
        raise ValueError("messages must be a list of at least two turns")
    if turns[-1].role != "assistant":
        raise ValueError("the last of messages must be the assistant's")
    return _prompt(value[:-1]), _completion(turns[-1].content)


def _prompt(value: Any) -> str | tuple[Message, ...]:
    content = content_in(value)
    last = content if isinstance(content, str) else content[-1].content if content else ""
    if not last.strip():
        raise ValueError("the prompt is empty")
    if not isinstance(content, str) and content[-1].role == "assistant":
        raise ValueError("the last turn of the prompt is the assistant's, so there is nothing to answer")
    return content


def _completion(value: Any) -> str:
    turns = content_in(value)
    if not isinstance(turns, str):
        if len(turns) != 1 or turns[0].role != "assistant":
            raise ValueError("a completion given as messages must be one turn of the assistant")
        turns = turns[0].content
    if not turns.strip():
        raise ValueError("the completion is empty")
    return turns
