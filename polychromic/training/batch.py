"""Prompts out of the trainer's own batches.

The trainer keeps token ids and labels only, so a prompt is what stands before a sequence's first label. The context
that is sampled from is then, byte for byte, the context that was trained on, whatever template made it.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor

from polychromic.core.nouns import Prompt
from polychromic.core.seeds import child_seed
from polychromic.policy.render import prompt_ids

IGNORED = -100
Tokens = tuple[int, ...]


@dataclass(frozen=True)
class PromptIndex:
    """Which prompt of a task (with its id and payload) a sequence of token ids is, and the other way round."""

    known: Mapping[Tokens, Prompt] = field(default_factory=dict)
    unknown: dict[str, Tokens] = field(default_factory=dict)
    """The tokens of the prompts that were looked up and not known, by id."""

    @classmethod
    def of(cls, tokenizer: Any, prompts: Iterable[Prompt]) -> PromptIndex:
        """The index of these prompts."""
        return cls({tuple(prompt_ids(tokenizer, prompt)): prompt for prompt in prompts})

    def prompt_of(self, tokens: Tokens, tokenizer: Any) -> Prompt:
        """The prompt; one without payload, named after its text, where the index does not have it."""
        found = self.known.get(tokens)
        if found is not None:
            return found
        text = tokenizer.decode(list(tokens))
        self.unknown[text] = tokens
        return Prompt(text, text)

    def tokens(self, prompt: Prompt, tokenizer: Any) -> Sequence[int]:
        """The very tokens a prompt was looked up by; its text alone may be taken apart in another way."""
        return self.unknown.get(prompt.id) or prompt_ids(tokenizer, prompt)


@dataclass(frozen=True)
class Window:
    """What the micro-batches of one optimizer step hold for the diversity term.

    ``prompts`` are in order, one for each sequence that has a prompt and a target; ``skipped`` sequences have none.
    ``target_tokens`` is the mean number of target tokens of a demonstration.
    """

    prompts: tuple[Tokens, ...]
    skipped: int
    target_tokens: float


def window_of(batches: Sequence[Mapping[str, Any]]) -> Window:
    """Reads the micro-batches of one optimizer step."""
    prompts: list[Tokens] = []
    targets, sequences, skipped = 0, 0, 0
    for batch in batches:
        for ids, labels in _sequences(batch):
            start = next((place for place, label in enumerate(labels) if label != IGNORED), None)
            if start is None or start == 0:
                skipped += 1
            else:
                prompts.append(tuple(ids[:start]))
            if start is not None:
                sequences += 1
                targets += sum(label != IGNORED for label in labels)
    return Window(tuple(prompts), skipped, targets / sequences if sequences else 0.0)


def demonstrations_of(rows: Iterable[Mapping[str, Any]]) -> Iterator[tuple[Tokens, Tokens]]:
    """Prompt and target tokens of every sequence in a trainer's dataset that has both, packed rows taken apart."""
    for row in rows:
        ids, labels, start = row["input_ids"], row["labels"], 0
        for length in row.get("seq_lengths") or [len(ids)]:
            span, start = range(start, start + length), start + length
            targets = [place for place in span if labels[place] != IGNORED]
            if targets and targets[0] > span.start:
                first = targets[0]
                last = next((place for place in range(first, span.stop) if labels[place] == IGNORED), span.stop)
                yield tuple(ids[span.start : first]), tuple(ids[first:last])


def choose(prompts: Sequence[Tokens], count: int, seed: int, step: int) -> list[Tokens]:
    """``count`` of the prompts (or all), by seed and step alone, in their order."""
    if len(prompts) <= count:
        return list(prompts)
    draw = random.Random(child_seed(seed, "diversity prompts", step))
    return [prompts[place] for place in sorted(draw.sample(range(len(prompts)), count))]


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
            parts.append((row[start:end], marks[start:end]))
    return parts


def _lists(tensor: Tensor) -> list[list[int]]:
    rows: list[list[int]] = tensor.tolist()
    return rows
