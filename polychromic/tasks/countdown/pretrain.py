"""Makes the embedded base model: ``python -m polychromic.tasks.countdown.pretrain --out DIR``.

A Qwen3 of 1.2 million parameters learns from all answers of the pretraining pool, each as likely as any other, written
in a random order of their terms. It never sees a problem of the other pools. About five minutes on two cores.
``--steps 125 --threads 1 --dtype bfloat16`` makes ``embedded:countdown-early``.
"""

from __future__ import annotations

import random
import time
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import click
import torch

from polychromic.core.nouns import Completion, Prompt
from polychromic.core.seeds import child_seed
from polychromic.diversity.answers import distinct_at_k
from polychromic.diversity.subsets import pass_at_k
from polychromic.tasks._pretraining import Batch, Recipe, Shape, batch, build_model, fit
from polychromic.tasks._tokenizer import build_tokenizer
from polychromic.tasks.countdown.expressions import Expression
from polychromic.tasks.countdown.problems import Problem, answers, problems
from polychromic.tasks.countdown.task import Countdown


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


def batches(recipe: Recipe) -> Iterator[Batch]:
    """The batches of a whole run: answers of the corpus at random, each in a random surface."""
    pairs = corpus()
    draw = random.Random(child_seed(recipe.seed, "countdown", "batches"))
    for _ in range(recipe.steps):
        chosen = draw.choices(pairs, k=recipe.batch_size)
        yield batch([problem.text for problem, _ in chosen], [surface(answer, draw) for _, answer in chosen])


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
@click.option("--dtype", type=click.Choice(["float32", "bfloat16"]), default="float32", help="Of the saved weights.")
def main(out: Path, seed: int, steps: int, threads: int, dtype: str) -> None:
    """Pretrain the base model, save it and say how good it is on held-out problems."""
    torch.set_num_threads(threads)
    recipe = Recipe(seed=seed, steps=steps, warmup_steps=min(Recipe.warmup_steps, steps // 2))
    start = time.perf_counter()
    model = build_model(Shape(), child_seed(seed, "countdown", "weights"))
    for step, loss in fit(model, batches(recipe), recipe):
        if step % 50 == 0 or step == steps:
            click.echo(f"step {step}/{steps}  loss {loss:.3f}  {time.perf_counter() - start:.0f} s")
    model.to(getattr(torch, dtype)).save_pretrained(out)
    model.float()
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
