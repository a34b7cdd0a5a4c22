"""Makes the embedded base model: ``python -m polychromic.tasks.countdown.pretrain --out DIR``.

A Qwen3 of 1.2 million parameters learns from all answers of the pretraining pool, each as likely as any other, written
in a random order of their terms. It never sees a problem of the other pools. About five minutes on two cores.
"""

from __future__ import annotations

import math
import random
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import click
import torch
from transformers import GenerationConfig, Qwen3Config, Qwen3ForCausalLM

from polychromic.core.nouns import Completion, Prompt
from polychromic.core.seeds import child_seed
from polychromic.diversity.answers import distinct_at_k
from polychromic.diversity.subsets import pass_at_k
from polychromic.tasks.countdown.expressions import Expression
from polychromic.tasks.countdown.problems import Problem, answers, problems
from polychromic.tasks.countdown.task import Countdown
from polychromic.tasks.countdown.tokenizer import MAX_LENGTH, build_tokenizer

MAX_NEW_TOKENS = 12
IGNORED = -100


@dataclass(frozen=True)
class Recipe:
    """How long and how fast: AdamW with warm-up and a cosine to zero."""

    seed: int = 0
    steps: int = 600
    batch_size: int = 256
    learning_rate: float = 2e-3
    warmup_steps: int = 60
    weight_decay: float = 0.05


def build_model(seed: int) -> Qwen3ForCausalLM:
    """An untrained model of the base's shape."""
    tokenizer = build_tokenizer()
    config = Qwen3Config(
        vocab_size=len(tokenizer),
        hidden_size=128,
        intermediate_size=384,
        num_hidden_layers=6,
        num_attention_heads=4,
        num_key_value_heads=2,
        head_dim=32,
        max_position_embeddings=MAX_LENGTH,
        tie_word_embeddings=True,
        bos_token_id=None,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    with torch.random.fork_rng():
        torch.manual_seed(child_seed(seed, "countdown", "weights"))
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


@cache
def corpus() -> tuple[tuple[Problem, Expression], ...]:
    """Every answer of every problem of the pretraining pool, also of problems too poor in answers to be asked."""
    return tuple(
        (problem, answer)
        for problem in problems("pretraining", min_answers=1)
        for answer in answers(problem.numbers, problem.target)
    )


def surface(answer: Expression, draw: random.Random) -> str:
    """One of the ways to write ``answer``: terms and factors in random order, nothing subtracted first."""
    first, *rest = draw.sample(answer.added, len(answer.added))
    signed = [("+", product) for product in rest] + [("-", product) for product in answer.subtracted]
    terms = [("", first), *draw.sample(signed, len(signed))]
    return "".join(sign + "*".join(map(str, draw.sample(product, len(product)))) for sign, product in terms)


def batches(recipe: Recipe) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """Input ids and labels, both [b, t]; prompts and padding have the label -100."""
    tokenizer, pairs = build_tokenizer(), corpus()
    draw = random.Random(child_seed(recipe.seed, "countdown", "batches"))
    for _ in range(recipe.steps):
        chosen = draw.choices(pairs, k=recipe.batch_size)
        prompts = tokenizer([problem.text for problem, _ in chosen])["input_ids"]
        written = tokenizer([surface(answer, draw) for _, answer in chosen])["input_ids"]
        longest = max(len(prompt) + len(text) + 1 for prompt, text in zip(prompts, written, strict=True))
        ids = torch.full((len(chosen), longest), tokenizer.pad_token_id)
        labels = torch.full((len(chosen), longest), IGNORED)
        for row, (prompt, text) in enumerate(zip(prompts, written, strict=True)):
            whole = torch.tensor([*prompt, *text, tokenizer.eos_token_id])
            ids[row, : len(whole)] = whole
            labels[row, len(prompt) : len(whole)] = whole[len(prompt) :]
        yield ids, labels


def pretrain(recipe: Recipe) -> Iterator[tuple[int, float, Qwen3ForCausalLM]]:
    """Step, loss in nats per answer token and the model itself, after each step."""
    model = build_model(recipe.seed).train()
    optimizer = torch.optim.AdamW(
        model.parameters(), lr=recipe.learning_rate, betas=(0.9, 0.98), weight_decay=recipe.weight_decay
    )
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: _rate(step, recipe))
    for step, (ids, labels) in enumerate(batches(recipe), start=1):
        loss = model(input_ids=ids, labels=labels, use_cache=False).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        optimizer.zero_grad(set_to_none=True)
        yield step, loss.item(), model


def _rate(step: int, recipe: Recipe) -> float:
    if step < recipe.warmup_steps:
        return (step + 1) / recipe.warmup_steps
    return 0.5 * (1 + math.cos(math.pi * (step - recipe.warmup_steps) / (recipe.steps - recipe.warmup_steps)))


@torch.no_grad()
def sampled_answers(model: Any, prompts: Sequence[Prompt], n: int, seed: int) -> list[list[str | None]]:
    """The canonical answers of ``n`` samples for each prompt, None where the sample is wrong."""
    tokenizer, task = build_tokenizer(), Countdown()
    with torch.random.fork_rng():
        torch.manual_seed(child_seed(seed, "countdown", "evaluation"))
        found = []
        for prompt in prompts:
            ids = tokenizer(str(prompt.content), return_tensors="pt")["input_ids"]
            drawn = model.eval().generate(ids, attention_mask=torch.ones_like(ids), num_return_sequences=n)
            texts = tokenizer.batch_decode(drawn[:, ids.shape[1] :], skip_special_tokens=True)
            found.append([task.verify(prompt, Completion(text)).answer for text in texts])
    return found


@click.command()
@click.option("--out", type=click.Path(path_type=Path), required=True, help="Folder for the model and its tokenizer.")
@click.option("--seed", default=0, show_default=True)
@click.option("--steps", default=Recipe.steps, show_default=True)
@click.option("--threads", default=2, show_default=True)
def main(out: Path, seed: int, steps: int, threads: int) -> None:
    """Pretrain the base model, save it and say how good it is on held-out problems."""
    torch.set_num_threads(threads)
    recipe = Recipe(seed=seed, steps=steps, warmup_steps=min(Recipe.warmup_steps, steps // 2))
    start = time.perf_counter()
    for step, loss, trained in pretrain(recipe):
        model = trained
        if step % 50 == 0 or step == steps:
            click.echo(f"step {step}/{steps}  loss {loss:.3f}  {time.perf_counter() - start:.0f} s")
    model.save_pretrained(out)
    build_tokenizer().save_pretrained(out)
    labels = sampled_answers(model, Countdown(validation_size=100).prompts("validation"), 64, seed)
    right = [sum(label is not None for label in row) for row in labels]
    for k in (1, 16, 64):
        passed = sum(float(pass_at_k(64, c, k)) for c in right) / len(right)
        distinct = sum(distinct_at_k(row, k) for row in labels) / len(labels)
        click.echo(f"validation pass@{k} {passed:.3f}  distinct and correct@{k} {distinct:.2f}")
    parameters = sum(parameter.numel() for parameter in model.parameters())
    click.echo(f"{parameters} parameters, {time.perf_counter() - start:.0f} s, saved in {out}")


if __name__ == "__main__":
    main()
