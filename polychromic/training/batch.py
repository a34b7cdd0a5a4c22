"""Prompts out of the trainer's own batches.

The trainer keeps token ids and labels only, so a prompt is cut out of a sequence's own tokens. The context that is
sampled from is then, byte for byte, the context that was trained on, whatever template made it.
"""

from __future__ import annotations

import random
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import takewhile
from typing import Any

from torch import Tensor

from polychromic.core.errors import InputError
from polychromic.core.nouns import Message, Prompt
from polychromic.core.seeds import child_seed
from polychromic.policy.chat import answer_opening
from polychromic.policy.render import prompt_ids

IGNORED = -100
Tokens = tuple[int, ...]
NO_COLUMNS = frozenset(
    {
        "prompt",
        "completion",
        "messages",
        "text",
        "input_ids",
        "labels",
        "attention_mask",
        "completion_ids",
        "seq_lengths",
    }
)
"""Columns of a data set that are the demonstration itself."""
NO_PROMPT = (
    "there are demonstrations that do not show where an answer begins, so samples continue their first half; "
    "rows with prompt and completion, or messages and a chat template, do show it"
)


@dataclass(frozen=True)
class PromptIndex:
    """Where a sequence's prompt ends, and which prompt (with its id and payload) it is; and the other way round.

    ``opening`` are the tokens by which the chat template opens an answer.
    """

    known: Mapping[Tokens, Prompt] = field(default_factory=dict)
    unknown: dict[str, Tokens] = field(default_factory=dict)
    """The tokens of the prompts that were asked for and not known, by id."""
    opening: Tokens = ()

    @classmethod
    def of(cls, tokenizer: Any, prompts: Iterable[Prompt]) -> PromptIndex:
        """The index of these prompts; of several with the same tokens the first counts, with its columns."""
        known: dict[Tokens, Prompt] = {}
        for prompt in prompts:
            known.setdefault(tuple(prompt_ids(tokenizer, prompt)), prompt)
        return cls(known, opening=answer_opening(tokenizer))

    def with_columns(self, rows: Any, tokenizer: Any) -> PromptIndex:
        """The index with the prompts of a trainer's data set, whose other columns are their payloads.

        A prompt that has several rows has the columns of the first. Streamed and packed rows have no columns.
        """
        known = dict(self.known)
        for row in rows if hasattr(rows, "__len__") else ():
            end = self.end_of_prompt(row["input_ids"], row["labels"])
            if end and "seq_lengths" not in row:
                tokens = tuple(row["input_ids"][:end])
                columns = {name: value for name, value in row.items() if name not in NO_COLUMNS}
                known.setdefault(tokens, Prompt(tokenizer.decode(tokens), _content(row, tokens, tokenizer), columns))
        return PromptIndex(known, opening=self.opening)

    @cached_property
    def _ids(self) -> dict[str, Tokens]:
        return {prompt.id: tokens for tokens, prompt in self.known.items()}

    @cached_property
    def _lengths(self) -> list[int]:
        return sorted({len(tokens) for tokens in self.known}, reverse=True)

    def end_of_prompt(self, ids: Sequence[int], labels: Sequence[int]) -> int | None:
        """How many tokens of a sequence its prompt has; None without a target, or without a token before one.

        It is what stands before the first target. Where all is a target (``messages`` without ``assistant_only_loss``,
        plain text): the longest known prompt that the sequence begins with, else what stands before the first answer
        of the conversation, else the first half.
        """
        first = next((place for place, label in enumerate(labels) if label != IGNORED), None)
        if first is None or first > 0:
            return first
        known = next((n for n in self._lengths if n < len(ids) and tuple(ids[:n]) in self.known), None)
        return known or self._opened(ids) or self._half(ids)

    def _opened(self, ids: Sequence[int]) -> int | None:
        size = len(self.opening)
        places = range(len(ids) - size) if size else ()
        return next((at + size for at in places if tuple(ids[at : at + size]) == self.opening), None)

    @staticmethod
    def _half(ids: Sequence[int]) -> int | None:
        if len(ids) < 2:
            return None
        warnings.warn(NO_PROMPT, UserWarning, stacklevel=2)
        return len(ids) // 2

    def prompt_of(self, tokens: Tokens, tokenizer: Any) -> Prompt:
        """The prompt; one without payload, named after its text, where it is not known."""
        found = self.known.get(tokens)
        if found is not None:
            return found
        text = tokenizer.decode(list(tokens))
        self.unknown[text] = tokens
        return Prompt(text, text)

    def tokens(self, prompt: Prompt, tokenizer: Any) -> Sequence[int]:
        """The very tokens a prompt was found by; its text alone may be taken apart in another way."""
        return self.unknown.get(prompt.id) or self._ids.get(prompt.id) or prompt_ids(tokenizer, prompt)


@dataclass(frozen=True)
class Window:
    """What the micro-batches of one optimizer step hold for the diversity term.

    ``prompts`` are in order, one for each sequence that has a prompt and a target; ``skipped`` sequences have none.
    ``target_tokens`` is the mean number of target tokens of a demonstration.
    """

    prompts: tuple[Tokens, ...]
    skipped: int
    target_tokens: float


def window_of(batches: Sequence[Mapping[str, Any]], index: PromptIndex) -> Window:
    """Reads the micro-batches of one optimizer step.

    Raises:
        InputError: the sequences have images, which samples would be drawn without.
    """
    prompts: list[Tokens] = []
    targets, sequences, skipped = 0, 0, 0
    for batch in batches:
        if any(name.startswith(("pixel_values", "image_")) for name in batch):
            raise InputError("the demonstrations have images; the diversity term samples from text alone")
        for ids, labels in _sequences(batch):
            end = index.end_of_prompt(ids, labels)
            if end:
                prompts.append(tuple(ids[:end]))
            else:
                skipped += 1
            if any(label != IGNORED for label in labels):
                sequences += 1
                targets += sum(label != IGNORED for label in labels)
    return Window(tuple(prompts), skipped, targets / sequences if sequences else 0.0)


def names_of(batch: Mapping[str, Any], index: PromptIndex, tokenizer: Any) -> list[str]:
    """The ids of the prompts of a micro-batch's sequences; sequences without a prompt have none."""
    ends = [(ids, index.end_of_prompt(ids, labels)) for ids, labels in _sequences(batch)]
    return [index.prompt_of(tuple(ids[:end]), tokenizer).id for ids, end in ends if end]


def demonstrations_of(rows: Iterable[Mapping[str, Any]], index: PromptIndex) -> Iterator[tuple[Tokens, Tokens]]:
    """Prompt and target tokens of every sequence in a trainer's dataset that has both, packed rows taken apart."""
    for row in rows:
        ids, labels, start = row["input_ids"], row["labels"], 0
        for length in row.get("seq_lengths") or [len(ids)]:
            span, start = slice(start, start + length), start + length
            tokens, marks = ids[span], labels[span]
            end = index.end_of_prompt(tokens, marks)
            if end:
                last = next((place for place in range(end, length) if marks[place] == IGNORED), length)
                yield tuple(tokens[:end]), tuple(tokens[end:last])


def choose(prompts: Sequence[Tokens], count: int, seed: int, step: int) -> list[Tokens]:
    """``count`` of the prompts (or all), by seed and step alone, in their order."""
    if len(prompts) <= count:
        return list(prompts)
    draw = random.Random(child_seed(seed, "diversity prompts", step))
    return [prompts[place] for place in sorted(draw.sample(range(len(prompts)), count))]


def _content(row: Mapping[str, Any], tokens: Tokens, tokenizer: Any) -> str | tuple[Message, ...]:
    """A row's prompt as its data set has it; the tokens' text where it has none."""
    turns = row.get("prompt") or row.get("messages")
    if isinstance(turns, str):
        return turns
    if not turns:
        return str(tokenizer.decode(tokens))
    asked = takewhile(lambda turn: turn["role"] != "assistant", turns)
    return tuple(Message(turn["role"], turn["content"]) for turn in asked)


def _sequences(batch: Mapping[str, Any]) -> list[tuple[list[int], list[int]]]:
    """Token ids and labels of every sequence: rows without their padding, or the parts of a packed row."""
    ids, labels = _lists(batch["input_ids"]), _lists(batch["labels"])
    if "attention_mask" in batch:
        masks = _lists(batch["attention_mask"])
        return [
            (
                [token for token, seen in zip(row, mask, strict=True) if seen],
                [label for label, seen in zip(marks, mask, strict=True) if seen],
            )
            for row, marks, mask in zip(ids, labels, masks, strict=True)
        ]
    if "position_ids" not in batch:
        return list(zip(ids, labels, strict=True))
    parts = []
    for row, marks, places in zip(ids, labels, _lists(batch["position_ids"]), strict=True):
        starts = [at for at, place in enumerate(places) if place == 0]
        for start, end in zip(starts, [*starts[1:], len(row)], strict=True):
            own = marks[start:end]
            if own[1:] and own[1] != IGNORED:  # the collator masks the first token of every packed sequence
                own[0] = row[start]
            parts.append((row[start:end], own))
    return parts


def _lists(tensor: Tensor) -> list[list[int]]:
    rows: list[list[int]] = tensor.tolist()
    return rows
