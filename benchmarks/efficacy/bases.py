"""Base models that the benchmark makes itself, in minutes: of the grammar, and of reasoning-gym's palindromes."""

from __future__ import annotations

import itertools
import random
import string
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from benchmarks.efficacy.cells import HERE
from benchmarks.efficacy.pool import quiet
from polychromic.core.seeds import child_seed
from polychromic.settings import catalog
from polychromic.settings.load import load_settings
from polychromic.tasks import grammar
from polychromic.tasks._pretraining import Batch, Recipe, Shape, batch, build_model, fit
from polychromic.tasks._tokenizer import build_tokenizer

PAIRS = 4
"""Letters that a palindrome holds twice; one more stands in its middle."""
RECIPE = Recipe(steps=300, learning_rate=3e-3)
STEPS = 100
"""Of the recipe's: a palindromes' base that seldom finds an answer."""


def make(task: str, out: Path) -> None:
    """The base of ``task`` in ``out``, where the cells look for it; nothing for a task whose base is embedded."""
    folder = out / f"{task}-base"
    if task not in BUILT or (folder / "config.json").exists():
        return
    quiet()
    model, tokenizer = BUILT[task]()
    tokenizer.save_pretrained(folder)
    model.save_pretrained(folder)


def palindromes() -> tuple[Any, Any]:
    """A Qwen3 of 0.3 million parameters after half a minute of palindromes, none with the letters of a held-out one."""
    task: Any = catalog.build("tasks", load_settings(HERE / "palindromes.yaml").data.task)
    held = frozenset(_letters(prompt.content) for split in ("test", "validation") for prompt in task.prompts(split))
    model = build_model(Shape(96, 256, 3, 3), child_seed(0, "palindromes", "weights"))
    for _ in fit(model, itertools.islice(_batches(held), STEPS), RECIPE):
        pass
    return model.eval(), build_tokenizer()


def _batches(held: frozenset[str]) -> Iterator[Batch]:
    draw = random.Random(child_seed(RECIPE.seed, "palindromes", "batches"))
    while True:
        chosen: list[tuple[str, str]] = []
        while len(chosen) < RECIPE.batch_size:
            half, middle = draw.choices(string.ascii_lowercase, k=PAIRS), draw.choice(string.ascii_lowercase)
            answer = "".join([*half, middle, *reversed(half)])
            if _letters(answer) not in held:
                chosen.append(("".join(draw.sample(answer, len(answer))) + ":", answer))
        asked, written = zip(*chosen, strict=True)
        yield batch(asked, written)


def _letters(text: str) -> str:
    return "".join(sorted(text.rstrip(":")))


BUILT: dict[str, Callable[[], tuple[Any, Any]]] = {"grammar": grammar.build_base, "palindromes": palindromes}
