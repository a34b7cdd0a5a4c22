"""Anyone's generations as sample sets and verdicts: rows with an id and a text, or a list of texts for each prompt."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from polychromic.core.errors import RecordError
from polychromic.core.nouns import Completion, Decoding, Message, Prompt, SampleSet, Status, Verdict
from polychromic.records.harnesses import first_row, harness_rows
from polychromic.records.jsonl import read_rows
from polychromic.records.samples import StoredSet, content_in
from polychromic.records.verdicts import VerdictKey, verdict_keys

ID_FIELDS = ("prompt_id", "task_id")
TEXT_FIELDS = ("text", "completion", "solution")
STATUS_WORDS = dict.fromkeys(("passed", "pass", "correct", "right", "true"), True) | dict.fromkeys(
    ("failed", "fail", "incorrect", "wrong", "false", "timed_out", "crashed"), False
)
ABSENT_WORDS = ("absent", "")
VERDICT_FIELDS = ("passed", "score", "answer")
"""What a row without a text must say of its sample: the verdict alone."""
PER_SAMPLE = ("passed", "answer", "score", "finished", "logprob")


@dataclass(slots=True)
class _Group:
    """The samples of one prompt of one model while the file is being read."""

    content: str | tuple[Message, ...]
    first_line: int
    is_list: bool
    temperature: float
    rows: dict[int, dict[str, Any]] = field(default_factory=dict)
    names: set[Any] = field(default_factory=set)


def is_native(path: str | Path) -> bool:
    """Whether the file's first row is one of our own ``samples.jsonl``."""
    row = first_row(path)
    return "decoding" in row and "sample_index" in row


def read_foreign(path: str | Path, model: str) -> tuple[list[StoredSet], dict[VerdictKey, Verdict]]:
    """The file's sample sets in order of first appearance, and its verdicts; no verdicts when no row has any.

    Files of inspect, lm-evaluation-harness, lighteval and evalplus are read as they are. Any other is JSONL.

    A row holds ``prompt_id`` or ``task_id``; ``text`` or ``completion``, one string or the list of all the prompt's
    samples; and optionally ``passed``, ``answer``, ``score``, ``finished``, ``logprob`` (lists beside a list),
    ``prompt``, ``model`` (default: ``model``), ``sample_index`` (or ``sample_id``, a word, in the order of the rows)
    and ``temperature``. For ``passed`` a ``status`` of a word will do: passed, correct, failed, incorrect and their
    like. A row without a text is a bare verdict: ``passed``, ``status``, ``score`` or ``answer``, one or a list.

    Raises:
        RecordError: ``file:line: reason`` for a field that is missing or wrong, a sample given twice, a prompt given
            twice as a list, or two temperatures of one model.
    """
    groups: dict[tuple[str, str], _Group] = {}
    temperatures: dict[str, float] = {}
    for line, row in harness_rows(path) or read_rows(path):
        try:
            _take(row, line, model, groups, temperatures)
        except (TypeError, ValueError) as error:
            raise RecordError(f"{path}:{line}: {error}") from None
    if not groups:
        raise RecordError(f"{path}: is empty")
    sets = [_stored(name, prompt_id, group) for (name, prompt_id), group in groups.items()]
    rows = [group.rows[index] for group in groups.values() for index in sorted(group.rows)]
    if all(row["passed"] is None and row["answer"] is None for row in rows):
        return sets, {}
    keys = [key for stored in sets for key in verdict_keys(stored)]
    return sets, {key: _verdict(row) for key, row in zip(keys, rows, strict=True)}


def _take(
    row: Mapping[str, Any],
    line: int,
    default_model: str,
    groups: dict[tuple[str, str], _Group],
    temperatures: dict[str, float],
) -> None:
    """Adds one row's samples to its group."""
    prompt_id, model = _id(row), str(row.get("model") or default_model)
    temperature = _number(row.get("temperature", 1.0), "temperature")
    if temperatures.setdefault(model, temperature) != temperature:
        raise ValueError(
            f"a second temperature ({temperature:g} after {temperatures[model]:g}); measure one temperature at a time"
        )
    text = _text(row)
    is_list = isinstance(text, list)
    group = groups.get((model, prompt_id))
    if group is None:
        group = groups[model, prompt_id] = _Group(content_in(row.get("prompt") or ""), line, is_list, temperature)
    elif is_list or group.is_list:
        raise ValueError(f"prompt {prompt_id!r} has its list of samples already on line {group.first_line}")
    for place, sample in enumerate(_samples(row, text)):
        index = row.get("sample_index", len(group.names)) if not is_list else place
        name = row.get("sample_id", index)
        if "sample_id" in row and name in group.names:
            raise ValueError(f"sample {name!r:.40} of prompt {prompt_id!r} is given twice")
        group.names.add(name)
        if not isinstance(index, int) or isinstance(index, bool):
            raise ValueError("sample_index is not a whole number")
        if index in group.rows:
            raise ValueError(f"sample {index} of prompt {prompt_id!r} is given twice")
        group.rows[index] = sample


def _id(row: Mapping[str, Any]) -> str:
    for name in ID_FIELDS:
        if isinstance(row.get(name), str | int) and row[name] != "":
            return str(row[name])
    raise ValueError("the row has neither a prompt_id nor a task_id")


def _text(row: Mapping[str, Any]) -> str | list[str]:
    for name in TEXT_FIELDS:
        value = row.get(name)
        if isinstance(value, str):
            return value
        if isinstance(value, list):
            if not value or not all(isinstance(item, str) for item in value):
                raise ValueError(f"{name} is an empty list or holds something that is not text")
            return value
    if any(name in row for name in TEXT_FIELDS):
        raise ValueError("its text is neither a string nor a list of strings")
    for name in (*VERDICT_FIELDS, "status"):
        value = row.get(name)
        if value is not None:
            return [""] * len(value) if isinstance(value, list) else ""
    raise ValueError("the row has neither a text nor a completion, and no passed, score or answer either")


def _samples(row: Mapping[str, Any], text: str | list[str]) -> list[dict[str, Any]]:
    """One mapping for each sample of the row: its text and what is known about it."""
    if "passed" not in row and isinstance(row.get("status"), str):
        row = {**row, "passed": _passed(row["status"])}
    if isinstance(text, str):
        return [_checked({"text": text} | {name: row.get(name) for name in PER_SAMPLE})]
    columns: dict[str, list[Any]] = {"text": list(text)}
    for name in PER_SAMPLE:
        value = row.get(name)
        if value is not None and (not isinstance(value, list) or len(value) != len(text)):
            raise ValueError(f"{name} must be a list of {len(text)}, one for each text")
        columns[name] = [None] * len(text) if value is None else value
    return [_checked({name: column[i] for name, column in columns.items()}) for i in range(len(text))]


def _checked(sample: dict[str, Any]) -> dict[str, Any]:
    for name in ("passed", "finished"):
        value = sample[name]
        if value is not None and value not in (True, False):
            raise ValueError(f"{name} is neither true nor false")
    for name in ("score", "logprob"):
        if sample[name] is not None:
            sample[name] = _number(sample[name], name)
    if sample["answer"] is not None:
        sample["answer"] = str(sample["answer"])
    return sample


def _passed(status: str) -> bool | None:
    word = status.strip().lower()
    if word in ABSENT_WORDS:
        return None
    if word not in STATUS_WORDS:
        raise ValueError(f"status {status!r:.40} is none of {', '.join(STATUS_WORDS)}")
    return STATUS_WORDS[word]


def _number(value: Any, name: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise ValueError(f"{name} is not a number")
    return float(value)


def _stored(model: str, prompt_id: str, group: _Group) -> StoredSet:
    order = sorted(group.rows)
    rows = [group.rows[index] for index in order]
    scores = [row["score"] for row in rows]
    payload = {} if all(score is None for score in scores) else {"scores": scores}
    completions = tuple(
        Completion(row["text"], finished=row["finished"] is not False, logprob=row["logprob"]) for row in rows
    )
    decoding = Decoding(temperature=group.temperature)
    samples = SampleSet(Prompt(prompt_id, group.content, payload), completions, decoding, policy=model)
    return StoredSet(samples, "", 0, tuple(order))


def _verdict(row: Mapping[str, Any]) -> Verdict:
    if row["passed"] is None:
        return Verdict(Status.ABSENT, "not judged", row["answer"])
    return Verdict(Status.PASSED if row["passed"] else Status.FAILED, "", row["answer"])
