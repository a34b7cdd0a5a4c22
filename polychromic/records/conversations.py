"""Users' rows to Examples and Prompts, with ids that stay the same from run to run.

A row is ``prompt`` + ``completion`` (strings, or lists of messages), ``messages`` (ending with the assistant),
``prompt`` alone, Alpaca's (``instruction``, ``input``, ``output``) or ShareGPT's (``conversations`` of ``from`` and
``value``). ``id`` is optional: without it the id is a hash of the prompt. Other columns become the prompt's payload.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from polychromic.core.errors import RecordError
from polychromic.core.nouns import Example, Message, Prompt
from polychromic.records.samples import content_in, content_out
from polychromic.records.sources import Source, scan, source_of

OnBadRow = Callable[[RecordError], None]


def refuse(error: RecordError) -> None:
    """Stops at the first bad row, by raising its error; ``list.append`` in its place collects them instead."""
    raise error


@dataclass(frozen=True, slots=True)
class DataRow:
    """One row of a user's file; ``example`` has an empty demonstration when the row is a prompt alone."""

    line: int
    form: str
    example: Example

    @property
    def demonstrated(self) -> bool:
        """Whether the row has something to learn."""
        return self.form != PROMPT_ONLY


PROMPT_ONLY = "prompt only"
_HALF_A_PAIR = re.compile("[\ud800-\udfff]")
SPEAKERS = {"human": "user", "gpt": "assistant"}
"""ShareGPT's names of roles; it has the usual ones too."""

Where = Source | str | Path
Met = dict[str, tuple[str, Any]]
"""The place and the content of the prompt that each id belongs to."""


def read_examples(where: Where, on_bad_row: OnBadRow = refuse) -> list[Example]:
    """The demonstrations of a source, in order.

    Raises:
        RecordError: ``file:line: reason`` for a row that is no demonstration (unless ``on_bad_row`` lets it pass), or
            the source holds none at all.
    """
    found = [row.example for row in demonstrations(where, on_bad_row)]
    if not found:
        name = source_of(where).name
        raise RecordError(f"{name}: holds no demonstration; a row needs prompt and completion, or messages")
    return found


def demonstrations(where: Where, on_bad_row: OnBadRow = refuse, met: Met | None = None) -> Iterator[DataRow]:
    """Every good row with something to learn, as it is read; the others go to ``on_bad_row``."""
    source = source_of(where)
    for row in conversations(source, on_bad_row, met):
        if row.demonstrated:
            yield row
        else:
            on_bad_row(RecordError(f"{source.name}:{row.line}: there is nothing to learn: the row has no completion"))


def read_prompts(where: Where, on_bad_row: OnBadRow = refuse) -> list[Prompt]:
    """The prompts of a source without repetitions, in order; demonstrations are passed over.

    Raises:
        RecordError: ``file:line: reason`` for a bad row, or the source holds no prompt.
    """
    found: dict[str, Prompt] = {}
    for row in conversations(where, on_bad_row):
        found.setdefault(row.example.prompt.id, row.example.prompt)
    if not found:
        raise RecordError(f"{source_of(where).name}: holds no prompt")
    return list(found.values())


def conversations(where: Where, on_bad_row: OnBadRow = refuse, met: Met | None = None) -> Iterator[DataRow]:
    """Every good row of a source as it is read; bad ones go to ``on_bad_row``.

    ``met`` are the ids of sources read before, which this one may not give to other prompts; its own are added.

    Raises:
        RecordError: raised by ``on_bad_row`` (``refuse``, the default, raises the first).
    """
    source, met = source_of(where), {} if met is None else met
    for line, values in scan(source):
        if isinstance(values, RecordError):
            on_bad_row(values)
            continue
        place = f"{source.name}:{line}"
        try:
            row = conversation(values, line)
        except ValueError as error:
            on_bad_row(RecordError(f"{place}: {error}"))
            continue
        prompt = row.example.prompt
        earlier, content = met.setdefault(prompt.id, (place, prompt.content))
        if content != prompt.content:
            on_bad_row(RecordError(f"{place}: the id is that of {earlier}, which has another prompt"))
            continue
        yield row


def conversation(values: Mapping[str, Any], line: int = 0) -> DataRow:
    """A row's values as prompt and demonstration.

    Raises:
        ValueError: what is wrong with the row, without its content.
    """
    read = next((read for name, read in FORMS.items() if name in values), None)
    if read is None:
        raise ValueError(
            "expected prompt and completion, messages, or prompt (or instruction, or conversations); "
            "data.columns gives columns these names"
        )
    form, taken, content, demonstration = read(values)
    for text in (demonstration, *([content] if isinstance(content, str) else [turn.content for turn in content])):
        if _HALF_A_PAIR.search(text):
            raise ValueError("half of a surrogate pair stands in its text, which no tokenizer takes")
    rest = {key: value for key, value in values.items() if key not in (*taken, "completion", "messages", "id")}
    prompt = Prompt(_identity(values.get("id"), content), content, rest)
    return DataRow(line, form, Example(prompt, demonstration))


Content = str | tuple[Message, ...]
Read = tuple[str, tuple[str, ...], Content, str]
"""A row's form, the columns it was made from, the prompt's content and the demonstration."""


def _from_prompt(values: Mapping[str, Any]) -> Read:
    content, completion = _prompt(values["prompt"]), values.get("completion")
    if completion is None:
        return PROMPT_ONLY, ("prompt",), content, ""
    return "prompt + completion", ("prompt",), content, _completion(completion)


def _from_messages(values: Mapping[str, Any]) -> Read:
    return "messages", ("messages",), *_turns(values["messages"], "messages")


def _from_sharegpt(values: Mapping[str, Any]) -> Read:
    """``conversations`` with ``from`` and ``value``, or with role and content as ``messages`` have them."""
    turns = values["conversations"]
    if isinstance(turns, list) and all(isinstance(turn, dict) for turn in turns):
        turns = [
            {"role": SPEAKERS.get(turn["from"], turn["from"]), "content": turn.get("value")} if "from" in turn else turn
            for turn in turns
        ]
    return "ShareGPT (conversations)", ("conversations",), *_turns(turns, "conversations")


def _from_alpaca(values: Mapping[str, Any]) -> Read:
    asked, more, answer = values["instruction"], values.get("input") or "", values.get("output")
    if not isinstance(asked, str) or not isinstance(more, str):
        raise ValueError("instruction and input must be strings")
    content, taken = _prompt(f"{asked}\n\n{more}" if more.strip() else asked), ("instruction", "input", "output")
    if answer is None:
        return PROMPT_ONLY, taken, content, ""
    return "Alpaca (instruction, input, output)", taken, content, _completion(answer)


FORMS: Mapping[str, Callable[[Mapping[str, Any]], Read]] = {
    "prompt": _from_prompt,
    "messages": _from_messages,
    "conversations": _from_sharegpt,
    "instruction": _from_alpaca,
}
"""How a row is read, by the column that it has; the first that is there counts."""


def _identity(given: Any, content: str | tuple[Message, ...]) -> str:
    if isinstance(given, bool) or not isinstance(given, str | int | None) or given == "":
        raise ValueError("the id must be a string or an integer")
    if given is not None:
        return str(given)
    return hashlib.sha256(json.dumps(content_out(Prompt("", content))).encode()).hexdigest()[:12]


def _turns(value: Any, column: str) -> tuple[Content, str]:
    turns = content_in(value)
    if isinstance(turns, str) or len(turns) < 2:
        raise ValueError(f"{column} must be a list of at least two turns")
    if turns[-1].role != "assistant":
        raise ValueError(f"the last of {column} must be the assistant's")
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
    if isinstance(value, list) and value and all(isinstance(item, str) for item in value):
        raise ValueError(f"the completion is a list of {len(value)} texts; give each a row of its own")
    turns = content_in(value)
    if not isinstance(turns, str):
        if len(turns) != 1 or turns[0].role != "assistant":
            raise ValueError("a completion given as messages must be one turn of the assistant")
        turns = turns[0].content
    if not turns.strip():
        raise ValueError("the completion is empty")
    return turns
