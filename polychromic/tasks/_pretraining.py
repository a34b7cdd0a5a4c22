"""Makes small base models for the tasks: a Qwen3 of a given shape, and the loop that teaches it prompts and answers."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import torch
from transformers import GenerationConfig, Qwen3Config, Qwen3ForCausalLM

from polychromic.tasks._tokenizer import MAX_LENGTH, build_tokenizer

MAX_NEW_TOKENS = 12
IGNORED = -100

Batch = tuple[torch.Tensor, torch.Tensor]


@dataclass(frozen=True)
class Recipe:
    """How long and how fast: AdamW with warm-up and a cosine to zero."""

    seed: int = 0
    steps: int = 600
    batch_size: int = 256
    learning_rate: float = 2e-3
    warmup_steps: int = 60
    weight_decay: float = 0.05


@dataclass(frozen=True)
class Shape:
    """The sizes of a Qwen3; every head has 32 dimensions, and two heads share their keys and values."""

    hidden_size: int = 128
    intermediate_size: int = 384
    layers: int = 6
    heads: int = 4


def build_model(shape: Shape, seed: int) -> Qwen3ForCausalLM:
    """An untrained model that will generate from its own distribution: temperature 1, no truncation."""
    tokenizer = build_tokenizer()
    config = Qwen3Config(
        vocab_size=len(tokenizer),
        hidden_size=shape.hidden_size,
        intermediate_size=shape.intermediate_size,
        num_hidden_layers=shape.layers,
        num_attention_heads=shape.heads,
        num_key_value_heads=shape.heads // 2,
        head_dim=32,
        max_position_embeddings=MAX_LENGTH,
        tie_word_embeddings=True,
        bos_token_id=None,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = Qwen3ForCausalLM(config)
    model.generation_config = GenerationConfig(
        do_sample=True,
        temperature=1.0,
        top_k=0,
        top_p=1.0,
        max_new_tokens=MAX_NEW_TOKENS,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    return model


def batch(prompts: Sequence[str], answers: Sequence[str]) -> Batch:
    """Input ids and labels of prompts with their answers, both [b, t]; prompts and padding have the label -100."""
    tokenizer = build_tokenizer()
    asked, written = tokenizer(list(prompts))["input_ids"], tokenizer(list(answers))["input_ids"]
    longest = max(len(prompt) + len(answer) + 1 for prompt, answer in zip(asked, written, strict=True))
    ids = torch.full((len(asked), longest), tokenizer.pad_token_id)
    labels = torch.full((len(asked), longest), IGNORED)
    for row, (prompt, answer) in enumerate(zip(asked, written, strict=True)):
        whole = torch.tensor([*prompt, *answer, tokenizer.eos_token_id])
        ids[row, : len(whole)] = whole
        labels[row, len(prompt) : len(whole)] = whole[len(prompt) :]
    return ids, labels


def fit(model: Qwen3ForCausalLM, batches: Iterable[Batch], recipe: Recipe) -> Iterator[tuple[int, float]]:
    """Trains ``model`` in place; after each step its number and its loss in nats per answer token."""
    model.train()
    optimizer = torch.optim.AdamW(
        model.parameters(), lr=recipe.learning_rate, betas=(0.9, 0.98), weight_decay=recipe.weight_decay
    )
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: _rate(step, recipe))
    for step, (ids, labels) in enumerate(batches, start=1):
        loss = model(input_ids=ids, labels=labels, use_cache=False).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        optimizer.zero_grad(set_to_none=True)
        yield step, loss.item()


def _rate(step: int, recipe: Recipe) -> float:
    if step < recipe.warmup_steps:
        return (step + 1) / recipe.warmup_steps
    return 0.5 * (1 + math.cos(math.pi * (step - recipe.warmup_steps) / (recipe.steps - recipe.warmup_steps)))
