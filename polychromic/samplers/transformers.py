"""Engine: transformers, in this process; every prompt is read once, and many sets are decoded together."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any
from weakref import WeakKeyDictionary

import torch

from polychromic.core.nouns import Completion, Decoding, Prompt, SampleSet
from polychromic.core.seeds import child_seed
from polychromic.policy.constraint import Constraint
from polychromic.policy.generate import GenerationRequest, generate
from polychromic.policy.memory import cache_bytes, free_bytes
from polychromic.policy.render import completions, prompt_ids, stop_tokens_of

_too_much: WeakKeyDictionary[Any, int] = WeakKeyDictionary()
"""The tokens, prompts' and drawn ones together, for which a model's device once had too little memory."""


@dataclass(frozen=True)
class Transformers:
    """Draws from ``model``. ``batch_size`` is the number of completions decoded together; memory halves it.

    With ``schema``, a JSON schema, the model can write nothing but JSON that follows it (needs the xgrammar package).
    """

    model: Any
    tokenizer: Any
    batch_size: int = 512
    schema: dict[str, Any] | None = None

    def sample(self, prompts: Sequence[Prompt], n: int, decoding: Decoding, seed: int) -> list[SampleSet]:
        """One set of ``n`` independent completions for each prompt, in the prompts' order.

        Raises:
            InputError: an empty prompt, one that leaves no room in the context, or no chat template for a conversation.
            NumericalError: the model gave logits that are not numbers.
            MissingResourceError: there is a schema and no xgrammar.
        """
        decoding = decoding.under(self.schema)
        tokens = [prompt_ids(self.tokenizer, prompt) for prompt in prompts]
        order = sorted(range(len(prompts)), key=lambda place: (len(tokens[place]), place))
        drawn: list[list[Completion]] = [[] for _ in prompts]
        rows = max(1, self.batch_size)
        for start in range(0, n, rows):
            count = min(rows, n - start)
            for places in _chunks(order, max(1, rows // count)):
                child = child_seed(seed, "sample", start, *(prompts[place].id for place in places))
                for place, found in zip(
                    places, self._draw([tokens[place] for place in places], count, decoding, child), strict=True
                ):
                    drawn[place] += found
        return [SampleSet(prompt, tuple(found), decoding) for prompt, found in zip(prompts, drawn, strict=True)]

    def _draw(
        self, prompts: Sequence[Sequence[int]], n: int, decoding: Decoding, seed: int
    ) -> Iterator[tuple[Completion, ...]]:
        ends = stop_tokens_of(self.model, self.tokenizer)
        constraint = None
        if self.schema is not None:
            constraint = Constraint(self.tokenizer, self.model.config.vocab_size, ends.eos, self.schema)
        request = GenerationRequest(n, decoding, ends, seed, constraint)
        for prompt, group in zip(prompts, generate_in_memory(self.model, prompts, request), strict=True):
            yield completions(self.tokenizer, group, prompt)


def generate_in_memory(model: Any, prompts: Sequence[Sequence[int]], request: GenerationRequest) -> list[Any]:
    """``generate``, with half as many prompts, or draws of one, at a time where the device has too little memory.

    What has once been too much is not tried again, nor what cannot fit by the size of its cache.
    """
    one_row = len(prompts) * request.n == 1
    tokens = len(prompts) * request.n * (max(map(len, prompts), default=0) + request.decoding.max_new_tokens)
    fits = one_row or not prompts or cache_bytes(model, tokens) <= free_bytes(next(model.parameters()).device)
    if one_row or not prompts or (tokens < _too_much.get(model, math.inf) and fits):
        try:
            return generate(model, prompts, request)
        except torch.OutOfMemoryError:
            if one_row:
                raise
        _too_much[model] = tokens
        if torch.cuda.is_available():
            torch.cuda.empty_cache()

    def part(place: int, some: Sequence[Sequence[int]], n: int) -> list[Any]:
        return generate_in_memory(model, some, replace(request, n=n, seed=child_seed(request.seed, "half", place)))

    half, rest = len(prompts) // 2, request.n // 2
    if half:
        return part(0, prompts[:half], request.n) + part(1, prompts[half:], request.n)
    return [part(0, prompts, rest)[0] + part(1, prompts, request.n - rest)[0]]


def _chunks(places: Sequence[int], size: int) -> Iterator[Sequence[int]]:
    for start in range(0, len(places), size):
        yield places[start : start + size]
