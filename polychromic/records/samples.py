"""SampleSets as rows of ``samples.jsonl`` and back: one row for each completion, each with a key of its own."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from polychromic.core.errors import RecordError
from polychromic.core.nouns import Completion, Decoding, Message, Prompt, SampleSet
from polychromic.records.jsonl import plain, read_rows

Key = tuple[str, str, str, str, str, int, int]
"""model, adapter, prompt id, prompt hash, decoding, sample index, seed."""


@dataclass(frozen=True, slots=True)
class StoredSet:
    """A SampleSet with what its rows know besides: the adapter's hash, the seed and each completion's index."""

    samples: SampleSet
    adapter: str
    seed: int
    indices: tuple[int, ...]

    @property
    def model(self) -> str:
        """The model's name, as it was given to the evaluation."""
        return self.samples.policy

    @property
    def temperature(self) -> float:
        """The sampling temperature."""
        return self.samples.decoding.temperature


def prompt_hash(prompt: Prompt) -> str:
    """16 hex digits that change when the prompt's content changes."""
    return hashlib.sha256(json.dumps(content_out(prompt)).encode()).hexdigest()[:16]


def content_out(prompt: Prompt) -> Any:
    """The prompt's content as JSON: a string, or a list of messages."""
    if isinstance(prompt.content, str):
        return prompt.content
    return [{"role": message.role, "content": message.content} for message in prompt.content]


def content_in(value: Any) -> str | tuple[Message, ...]:
    """The inverse of ``content_out``.

    Raises:
        ValueError: it is neither a string nor a list of messages with string role and content.
    """
    if isinstance(value, str):
        return value
    if not isinstance(value, list) or not all(isinstance(turn, dict) for turn in value):
        raise ValueError("the prompt is neither a string nor a list of messages")
    if not all(isinstance(turn.get("role"), str) and isinstance(turn.get("content"), str) for turn in value):
        raise ValueError("a message needs a role and a content, both strings")
    return tuple(Message(turn["role"], turn["content"]) for turn in value)


def sample_rows(stored: StoredSet) -> list[dict[str, Any]]:
    """The set's rows, one for each completion, in index order."""
    prompt = stored.samples.prompt
    common = {
        "model": stored.model,
        "adapter": stored.adapter,
        "prompt_id": prompt.id,
        "prompt": content_out(prompt),
        "payload": plain(prompt.payload),
        "decoding": asdict(stored.samples.decoding),
        "seed": stored.seed,
    }
    return [
        common
        | {
            "sample_index": index,
            "text": completion.text,
            "token_ids": list(completion.token_ids),
            "finished": completion.finished,
            "logprob": completion.logprob,
        }
        for index, completion in zip(stored.indices, stored.samples.completions, strict=True)
    ]


def key_of(row: Mapping[str, Any]) -> Key:
    """What tells this row from every other: rows with equal keys are the same sample."""
    prompt = Prompt(row["prompt_id"], content_in(row["prompt"]))
    decoding = json.dumps(asdict(Decoding(**row["decoding"])))
    return (row["model"], row["adapter"], prompt.id, prompt_hash(prompt), decoding, row["sample_index"], row["seed"])


def keys_of(stored: StoredSet) -> list[Key]:
    """The keys of the set's rows."""
    return [key_of(row) for row in sample_rows(stored)]


def read_keys(path: str | Path) -> set[Key]:
    """The keys of all rows of a samples file; empty when there is none yet."""
    if not Path(path).exists():
        return set()
    return {_checked(path, line, row)[0] for line, row in read_rows(path)}


def read_sets(path: str | Path) -> list[StoredSet]:
    """The file's sample sets, by model, decoding and prompt in order of first appearance, completions by index.

    Rows with the same key count once.

    Raises:
        RecordError: a row lacks a field, one model name stands for two adapters, or one sample for two seeds.
    """
    groups: dict[tuple[Any, ...], _Group] = {}
    adapters: dict[str, str] = {}
    for line, row in read_rows(path):
        key, completion, prompt, decoding = _checked(path, line, row)
        model, adapter, index, seed = key[0], key[1], key[5], key[6]
        if adapters.setdefault(model, adapter) != adapter:
            raise RecordError(f"{path}:{line}: model {model!r} stands for two different adapters in this file")
        group = groups.setdefault((model, key[4], prompt.id, key[3]), _Group(prompt, decoding, {}))
        if group.drawn.setdefault(index, (completion, seed))[1] != seed:
            raise RecordError(f"{path}:{line}: sample {index} of this prompt was drawn with two different seeds")
    return [_stored(key[0], adapters[key[0]], group) for key, group in groups.items()]


@dataclass(slots=True)
class _Group:
    """The rows of one set, while the file is being read: completion and seed by sample index."""

    prompt: Prompt
    decoding: Decoding
    drawn: dict[int, tuple[Completion, int]]


def _stored(model: str, adapter: str, group: _Group) -> StoredSet:
    order = sorted(group.drawn)
    completions = tuple(group.drawn[index][0] for index in order)
    samples = SampleSet(group.prompt, completions, group.decoding, policy=model)
    return StoredSet(samples, adapter, group.drawn[order[0]][1], tuple(order))


def _checked(path: str | Path, line: int, row: Mapping[str, Any]) -> tuple[Key, Completion, Prompt, Decoding]:
    try:
        prompt = Prompt(row["prompt_id"], content_in(row["prompt"]), row.get("payload") or {})
        decoding = Decoding(**row["decoding"])
        completion = Completion(
            row["text"], tuple(row.get("token_ids") or ()), bool(row.get("finished", True)), row.get("logprob")
        )
        return key_of(row), completion, prompt, decoding
    except KeyError as error:
        raise RecordError(f"{path}:{line}: the row has no {error.args[0]!r}") from None
    except (TypeError, ValueError) as error:
        raise RecordError(f"{path}:{line}: not a row of samples: {error}") from None


def group_sets(stored: Iterable[StoredSet]) -> dict[tuple[str, float], list[StoredSet]]:
    """The sets of each (model, temperature), in order."""
    groups: dict[tuple[str, float], list[StoredSet]] = {}
    for item in stored:
        groups.setdefault((item.model, item.temperature), []).append(item)
    return groups


def store(samples: Sequence[SampleSet], adapter: str, seed: int, start: int = 0) -> list[StoredSet]:
    """Freshly drawn sets with their indices from ``start``."""
    return [StoredSet(item, adapter, seed, tuple(range(start, start + len(item.completions)))) for item in samples]
