"""Draws completions from a causal language model, and the log-probability of each under the distribution it came from.

Each prompt is prefilled once and its cache repeated for its ``n`` samples; all sets of a call are decoded together,
and rows that have ended leave the batch. Randomness comes from a generator of its own, so that sampling during
training leaves dropout and data order untouched. A constraint bounds what can be drawn; such draws are the bounded
distribution's, not the policy's, and their log-probabilities say so.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from polychromic.core.errors import InputError, NumericalError
from polychromic.core.nouns import Decoding
from polychromic.policy.constraint import Constraint
from polychromic.policy.graph import graph_decoder
from polychromic.policy.kv_cache import Prefilled, make_room
from polychromic.policy.sampling_mode import sampling_mode

COMPACT_BELOW = 0.75
"""The batch is rebuilt without its ended rows when fewer than this share of them are still running."""


@dataclass(frozen=True, slots=True)
class Generation:
    """One drawn sequence: its tokens with the end token when one was drawn, and their summed log-probability."""

    token_ids: tuple[int, ...]
    finished: bool
    logprob: float


@dataclass(frozen=True, slots=True)
class StopTokens:
    """The tokens that end a completion, and the one that fills rows."""

    eos: tuple[int, ...]
    pad: int


@dataclass(frozen=True, slots=True)
class GenerationRequest:
    """``n`` draws for each prompt, how they are drawn and end, the seed that decides them, and what bounds them."""

    n: int
    decoding: Decoding
    stop_tokens: StopTokens
    seed: int
    constraint: Constraint | None = None


def generate(model: nn.Module, prompts: Sequence[Sequence[int]], request: GenerationRequest) -> list[list[Generation]]:
    """``request.n`` independent draws for each prompt of token ids, in order.

    The distribution is the model's at ``decoding.temperature`` (0: the likeliest token), cut to what the constraint
    allows, ``top_k`` and ``top_p`` where they are set. A draw that reaches ``max_new_tokens`` without an end token is
    not finished.

    Raises:
        InputError: an empty prompt, or a prompt that leaves no room in the model's context.
        NumericalError: the model gave logits that are not numbers.
    """
    _refuse(model, prompts)
    if not prompts:
        return []
    device = next(model.parameters()).device
    generator = torch.Generator(device=device).manual_seed(request.seed % 2**63)
    with sampling_mode(model):
        loop = _Loop(model, request, generator)
        loop.prefill(prompts, device)
        while loop.rows.numel() and loop.length < request.decoding.max_new_tokens:
            loop.step()
    draws = loop.draws()
    return [draws[start : start + request.n] for start in range(0, len(draws), request.n)]


def _refuse(model: nn.Module, prompts: Sequence[Sequence[int]]) -> None:
    room = context_of(model)
    for index, prompt in enumerate(prompts):
        if not prompt:
            raise InputError(f"prompt {index} of the batch has no tokens")
        if len(prompt) + 1 > room:
            raise InputError(f"prompt {index} of the batch has {len(prompt)} tokens; the model's context holds {room}")


def context_of(model: nn.Module) -> int:
    """The tokens the model's context holds; a very large number when it does not say."""
    config: Any = getattr(model, "config", None)
    return getattr(config, "max_position_embeddings", None) or 2**31


class _Decoder:
    """Reads token after token with a cache that grows, of rows that may leave."""

    def __init__(self, model: nn.Module, read: Prefilled) -> None:
        self.model, self.cache, self.mask, self.position = model, read.cache, read.mask, read.position
        if read.n > 1:
            self.cache.batch_repeat_interleave(read.n)
        make_room(self.cache)

    def feed(self, token: Tensor) -> Tensor:
        """The logits [rows, vocabulary] after ``token`` [rows, 1]."""
        self.mask = torch.cat([self.mask, self.mask.new_ones(self.mask.shape[0], 1)], dim=1)
        self.position = self.position + 1
        out = self.model(
            input_ids=token,
            attention_mask=self.mask,
            position_ids=self.position,
            past_key_values=self.cache,
            use_cache=True,
            logits_to_keep=1,
        )
        self.cache = out.past_key_values
        logits: Tensor = out.logits[:, -1]
        return logits

    def keep(self, places: Tensor) -> None:
        """Only these rows go on."""
        self.mask, self.position = self.mask[places], self.position[places]
        self.cache.batch_select_indices(places)


class _Loop:
    """The running rows of one call, and what every row has drawn so far."""

    def __init__(self, model: nn.Module, request: GenerationRequest, generator: torch.Generator) -> None:
        self.model, self.generator = model, generator
        self.n, self.decoding, self.stop_tokens = request.n, request.decoding, request.stop_tokens
        self.constraint = request.constraint
        self.room = context_of(model)
        self.length = 0

    def prefill(self, prompts: Sequence[Sequence[int]], device: torch.device) -> None:
        """Reads all prompts, left-padded, once each; then makes ``n`` rows of every prompt's cache."""
        ids, mask = left_padded(prompts, self.stop_tokens.pad, device)
        positions = (mask.cumsum(dim=1) - 1).clamp(min=0)
        out = self.model(input_ids=ids, attention_mask=mask, position_ids=positions, use_cache=True, logits_to_keep=1)
        n, rows, limit = self.n, len(prompts) * self.n, self.decoding.max_new_tokens
        self.reach = positions[:, -1].repeat_interleave(n, dim=0)
        read = Prefilled(out.past_key_values, mask.repeat_interleave(n, dim=0), self.reach.unsqueeze(1), n)
        self.decoder = graph_decoder(self.model, read, limit) or _Decoder(self.model, read)
        self.rows = torch.arange(rows, device=device)
        self.eos = torch.tensor(self.stop_tokens.eos, device=device)
        self.tokens = torch.full((rows, limit), self.stop_tokens.pad, device=device)
        self.lengths = torch.zeros(rows, dtype=torch.long, device=device)
        self.finished = torch.zeros(rows, dtype=torch.bool, device=device)
        self.logprob = torch.zeros(rows, device=device)
        self.running = torch.ones(rows, dtype=torch.bool, device=device)
        self.paths = self.constraint.paths(rows) if self.constraint else None
        self._take(out.logits[:, -1].repeat_interleave(n, dim=0))

    def step(self) -> None:
        """Feeds the last tokens and draws the next ones."""
        last = self.tokens[self.rows, self.length - 1].unsqueeze(1)
        self._take(self.decoder.feed(last))

    def _take(self, logits: Tensor) -> None:
        rows = self.rows.tolist() if self.paths else []
        logits = self.paths.allowed(logits, rows) if self.paths else logits
        token, logprob = draw(logits, self.decoding, self.generator)
        if self.paths:
            self.paths.take(token, rows)
        token = torch.where(self.running, token, self.stop_tokens.pad)
        self.tokens[self.rows, self.length] = token
        self.logprob[self.rows] += torch.where(self.running, logprob, 0.0)
        self.lengths[self.rows] += self.running
        ended = self.running & torch.isin(token, self.eos)
        self.finished[self.rows] |= ended
        self.running = self.running & ~ended & (self.reach + self.length + 1 < self.room)
        self.length += 1
        alive = int(self.running.sum())
        if alive < COMPACT_BELOW * self.running.numel():
            self._compact()

    def _compact(self) -> None:
        keep = self.running.nonzero().squeeze(1)
        self.rows, self.running, self.reach = self.rows[keep], self.running[keep], self.reach[keep]
        if keep.numel():
            self.decoder.keep(keep)

    def draws(self) -> list[Generation]:
        """Every row's result, in row order."""
        table = zip(
            self.tokens.tolist(), self.lengths.tolist(), self.finished.tolist(), self.logprob.tolist(), strict=True
        )
        return [Generation(tuple(tokens[:length]), done, logprob) for tokens, length, done, logprob in table]


def draw(logits: Tensor, decoding: Decoding, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """One token of each row of ``logits`` [rows, vocabulary], and its log-probability under what it was drawn from.

    Raises:
        NumericalError: a row has no finite logit, or one that is NaN.
    """
    logits = logits.float()
    if not bool(torch.isfinite(logits.max(dim=-1).values).all()):  # NaN and +inf reach the maximum
        raise NumericalError("the model gave logits that are not numbers")
    if decoding.temperature == 0:
        token = logits.argmax(dim=-1)
        return token, torch.zeros_like(logits[:, 0])
    logprobs = truncated(logits / decoding.temperature, decoding).log_softmax(dim=-1)
    token = torch.multinomial(logprobs.exp(), 1, generator=generator).squeeze(1)
    return token, logprobs.gather(1, token.unsqueeze(1)).squeeze(1)


def truncated(logits: Tensor, decoding: Decoding) -> Tensor:
    """``logits`` with the tokens outside ``top_k`` and ``top_p`` at minus infinity; unchanged when neither is set."""
    if decoding.top_k > 0:
        bound = logits.topk(min(decoding.top_k, logits.shape[-1]), dim=-1).values[:, -1:]
        logits = logits.masked_fill(logits < bound, -torch.inf)
    if decoding.top_p < 1.0:
        ordered, places = logits.sort(dim=-1, descending=True)
        before = ordered.softmax(dim=-1).cumsum(dim=-1) - ordered.softmax(dim=-1)
        cut = (before >= decoding.top_p).scatter(1, places, before >= decoding.top_p)
        logits = logits.masked_fill(cut, -torch.inf)
    return logits


def left_padded(prompts: Sequence[Sequence[int]], pad: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """Token ids and attention mask, both [p, t], padded on the left."""
    width = max(len(prompt) for prompt in prompts)
    ids = [[pad] * (width - len(prompt)) + list(prompt) for prompt in prompts]
    mask = [[0] * (width - len(prompt)) + [1] * len(prompt) for prompt in prompts]
    return torch.tensor(ids, device=device), torch.tensor(mask, device=device)
