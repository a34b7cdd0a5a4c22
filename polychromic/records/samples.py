"""SampleSets as rows of ``samples.jsonl`` and back: one row for each completion, each with a key of its own."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from polychromic.core.digests import text_digest
from polychromic.core.errors import RecordError
from polychromic.core.nouns import Completion, Decoding, Message, Prompt, SampleSet
from polychromic.records.rows import log_nouns


@dataclass(frozen=True, slots=True)
class StoredSet:
    """A SampleSet with what its rows know besides: the adapter's hash, the seed and each completion's index.

    ``source`` says which engine drew it from which base, as in ``SampleRow``.
    """

    samples: SampleSet
    adapter: str
    seed: int
    indices: tuple[int, ...]
    source: Mapping[str, str] = field(default_factory=dict)

    @property
    def model(self) -> str:
        """The model's name, as it was given to the evaluation."""
        return self.samples.policy

    @property
    def temperature(self) -> float:
        """The sampling temperature."""
        return self.samples.decoding.temperature

    @property
    def digests(self) -> tuple[str, ...]:
        """What each completion is to a checker: the digest of its prompt, its text, and whether it was finished."""
        asked = json.dumps(content_out(self.samples.prompt))
        return tuple(text_digest(asked, one.text, str(one.finished)) for one in self.samples.completions)


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


@dataclass(frozen=True, slots=True, kw_only=True)
class SampleRow:
    """One row of ``samples.jsonl``: a completion, and all that it was drawn from.

    ``source`` is what drew it: the engine, and the digests of base, tokenizer and adapter's configuration, or the
    model that a server serves; empty in rows of anyone's, or of an older version.
    """

    model: str
    adapter: str
    prompt_id: str
    prompt: Any
    payload: Mapping[str, Any] = field(default_factory=dict)
    decoding: Decoding
    seed: int
    source: Mapping[str, str] = field(default_factory=dict)
    sample_index: int
    text: str
    token_ids: tuple[int, ...] = ()
    finished: bool = True
    logprob: float | None = None
    thought: str = ""


def sample_rows(stored: StoredSet) -> list[SampleRow]:
    """The set's rows, one for each completion, in index order."""
    prompt = stored.samples.prompt
    return [
        SampleRow(
            model=stored.model,
            adapter=stored.adapter,
            prompt_id=prompt.id,
            prompt=content_out(prompt),
            payload=prompt.payload,
            decoding=stored.samples.decoding,
            seed=stored.seed,
            source=stored.source,
            sample_index=index,
            text=completion.text,
            token_ids=completion.token_ids,
            finished=completion.finished,
            logprob=completion.logprob,
            thought=completion.thought,
        )
        for index, completion in zip(stored.indices, stored.samples.completions, strict=True)
    ]


def read_sets(path: str | Path) -> list[StoredSet]:
    """The file's sample sets, by model, decoding and prompt in order of first appearance, completions by index.

    A sample that is there twice counts once. Of a prompt that was reworded, only what answers its last wording counts.

    Raises:
        RecordError: a row lacks a field, one model name stands for two adapters, engines or bases, or one sample for
            two seeds.
    """
    groups: dict[tuple[Any, ...], _Group] = {}
    adapters: dict[str, str] = {}
    wording: dict[str, Any] = {}
    tokens: dict[int, int] = {}  # one object for each token of the vocabulary, not one for each token drawn
    for line, row in log_nouns(path, SampleRow):
        try:
            content = content_in(row.prompt)
            if adapters.setdefault(row.model, row.adapter) != row.adapter:
                raise ValueError(f"model {row.model!r} stands for two different adapters in this file")
            key = (row.model, row.decoding, row.prompt_id, content)
            prompt = Prompt(row.prompt_id, content, row.payload)
            group = groups.setdefault(key, _Group(prompt, row.decoding, row.source))
            wording[row.prompt_id] = content
            ids = tuple(map(tokens.setdefault, row.token_ids, row.token_ids))
            completion = Completion(row.text, ids, row.finished, row.logprob, row.thought)
            if group.source != row.source:
                raise ValueError("the samples of this prompt were drawn by two engines, or from two bases")
            if group.drawn.setdefault(row.sample_index, (completion, row.seed))[1] != row.seed:
                raise ValueError(f"sample {row.sample_index} of this prompt was drawn with two different seeds")
        except ValueError as error:
            raise RecordError(f"{path}:{line}: {error}") from None
    kept = {key: group for key, group in groups.items() if wording[group.prompt.id] == group.prompt.content}
    _refuse_two_sources(path, kept)
    return [_stored(key[0], adapters[key[0]], group) for key, group in kept.items()]


@dataclass(slots=True)
class _Group:
    """The rows of one set, while the file is being read: completion and seed by sample index."""

    prompt: Prompt
    decoding: Decoding
    source: Mapping[str, str]
    drawn: dict[int, tuple[Completion, int]] = field(default_factory=dict)


def _refuse_two_sources(path: str | Path, groups: Mapping[tuple[Any, ...], _Group]) -> None:
    """Raises RecordError when one model's sets were drawn by two engines, or from two bases."""
    sources: dict[str, Mapping[str, str]] = {}
    for (model, *_), group in groups.items():
        if sources.setdefault(model, group.source) != group.source:
            raise RecordError(f"{path}: the samples of {model} were drawn by two engines, or from two bases")


def _stored(model: str, adapter: str, group: _Group) -> StoredSet:
    order = sorted(group.drawn)
    completions = tuple(group.drawn[index][0] for index in order)
    samples = SampleSet(group.prompt, completions, group.decoding, policy=model)
    return StoredSet(samples, adapter, group.drawn[order[0]][1], tuple(order), group.source)


def first_samples(stored: StoredSet, n: int) -> StoredSet:
    """The set with its first ``n`` completions; as it is when it has no more."""
    if len(stored.indices) <= n:
        return stored
    fewer = replace(stored.samples, completions=stored.samples.completions[:n])
    return replace(stored, samples=fewer, indices=stored.indices[:n])


def group_sets(stored: Iterable[StoredSet]) -> dict[tuple[str, float], list[StoredSet]]:
    """The sets of each (model, temperature), in order."""
    groups: dict[tuple[str, float], list[StoredSet]] = {}
    for item in stored:
        groups.setdefault((item.model, item.temperature), []).append(item)
    return groups


def store(samples: Sequence[SampleSet], adapter: str, seed: int, start: int = 0) -> list[StoredSet]:
    """Freshly drawn sets with their indices from ``start``."""
    return [StoredSet(item, adapter, seed, tuple(range(start, start + len(item.completions)))) for item in samples]
