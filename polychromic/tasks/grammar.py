"""Pick one letter for each class: a task small enough that an answer's chance is summed, not sampled.

A prompt names three classes, ``BFD:``; an answer is one letter of each, in order, such as ``fzk``. Each prompt has 12
to 24 answers, written in one way only, so coverage, collision, validity and the distance from the demonstrations are
exact under a policy. Demonstrations are skewed: the answer of rank r is shown with a chance in proportion to 1 / r^s.
"""

from __future__ import annotations

import hashlib
import itertools
import random
from dataclasses import dataclass
from functools import cache
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from polychromic.core.errors import InputError
from polychromic.core.nouns import Completion, Example, Prompt, Status, Verdict
from polychromic.core.seeds import child_seed

CLASSES = {
    "A": "ab", "B": "cde", "C": "fghi", "D": "jk", "E": "lmn", "F": "opqr", "G": "stu", "H": "vw",
    "I": "xyz", "J": "bdfh", "K": "gik", "L": "mo",
}  # fmt: skip
"""Each class's letters, the most demonstrated first; some letters belong to two classes."""
ANSWERS = range(12, 25)
"""How many answers a prompt may have."""
_POOLS = (("test", 0.15), ("validation", 0.25), ("train", 0.6), ("pretraining", 1.0))


@cache
def prompts_of(pool: str) -> tuple[Prompt, ...]:
    """The prompts of a pool (``train``, ``validation``, ``test``, ``pretraining``): a hash of the prompt decides."""
    found = []
    for chosen in itertools.permutations(CLASSES, 3):
        text = "".join(chosen) + ":"
        share = int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") / 2**64
        if next(name for name, end in _POOLS if share < end) == pool and len(answers_of(text)) in ANSWERS:
            found.append(Prompt(f"grammar-{text[:-1]}", text, {"classes": list(chosen)}))
    return tuple(found)


def answers_of(text: str) -> tuple[str, ...]:
    """All answers of a prompt's text, the most demonstrated first."""
    return tuple("".join(letters) for letters in itertools.product(*(CLASSES[name] for name in text.rstrip(":"))))


@dataclass(frozen=True)
class Grammar:
    """Prompts such as ``BFD:``; right is one letter of each class, in order.

    ``seed`` draws each split's prompts from that split's pool, and the demonstrations: ``demonstrations`` of them for
    each prompt, by Zipf's law with exponent ``skew``.
    """

    seed: int = 0
    train_size: int = 200
    validation_size: int = 50
    test_size: int = 80
    demonstrations: int = 4
    skew: float = 1.5

    name: ClassVar[str] = "grammar"
    judges: ClassVar[bool] = True

    def prompts(self, split: str) -> tuple[Prompt, ...]:
        """The prompts of ``split``, each once; raises InputError for an unknown split or too large a size."""
        sizes = {"train": self.train_size, "validation": self.validation_size, "test": self.test_size}
        if split not in sizes:
            raise InputError(f"grammar has no split {split!r}; allowed: {', '.join(sizes)}")
        pool = prompts_of(split)
        if not 1 <= sizes[split] <= len(pool):
            raise InputError(f"grammar: {split}_size is {sizes[split]}; allowed: 1 to {len(pool)}")
        return tuple(random.Random(child_seed(self.seed, "grammar", split)).sample(pool, sizes[split]))

    def examples(self, split: str) -> tuple[Example, ...]:
        """``demonstrations`` examples for each prompt of ``split``, a prompt's together."""
        draw = random.Random(child_seed(self.seed, "grammar", "demonstrations", split))
        return tuple(
            Example(prompt, answer)
            for prompt in self.prompts(split)
            for answer in draw.choices(self.answers(prompt), self.shares(prompt).tolist(), k=self.demonstrations)
        )

    def answers(self, prompt: Prompt) -> tuple[str, ...]:
        """All right answers of ``prompt``, the most demonstrated first."""
        return answers_of("".join(prompt.payload["classes"]))

    def shares(self, prompt: Prompt) -> NDArray[np.float64]:
        """The chance of each of the answers to be the demonstration, shape [answers]; sums to 1."""
        weights = np.arange(1, len(self.answers(prompt)) + 1, dtype=np.float64) ** -self.skew
        return np.asarray(weights / weights.sum())

    def verify(self, prompt: Prompt, completion: Completion) -> Verdict:
        """PASSED with the answer, FAILED with what is wrong, ABSENT when the prompt is not one of ours."""
        try:
            answers = self.answers(prompt)
        except (KeyError, TypeError):
            return Verdict(Status.ABSENT, "the prompt's payload has no classes")
        if not completion.finished:
            return Verdict(Status.FAILED, "the answer was cut off")
        if completion.text not in answers:
            return Verdict(Status.FAILED, "not one letter of each class in order")
        return Verdict(Status.PASSED, answer=completion.text)


def build_base(seed: int = 0, steps: int = 300) -> tuple[Any, Any]:
    """A small model and its tokenizer that write every answer of a prompt with about the same chance.

    A Qwen3 of 0.13 million parameters, trained on the pretraining pool only; half a minute on two cores.
    """
    from polychromic.tasks._pretraining import Recipe, Shape, batch, build_model, fit
    from polychromic.tasks._tokenizer import build_tokenizer

    recipe = Recipe(seed=seed, steps=steps, batch_size=128, learning_rate=4e-3, warmup_steps=min(30, steps // 2))
    draw = random.Random(child_seed(seed, "grammar", "batches"))
    texts = [str(prompt.content) for prompt in prompts_of("pretraining")]
    pairs = [(text, answer) for text in texts for answer in answers_of(text)]
    model = build_model(Shape(64, 160, 2, 2), child_seed(seed, "grammar", "weights"))
    drawn = (draw.choices(pairs, k=recipe.batch_size) for _ in range(steps))
    for _ in fit(model, (batch(*zip(*chosen, strict=True)) for chosen in drawn), recipe):
        pass
    return model.eval(), build_tokenizer()
