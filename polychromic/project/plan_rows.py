"""How many demonstrations a run has and how long they are, counted where they are here, else assumed and said to be."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from polychromic.core.errors import MissingResourceError
from polychromic.core.nouns import Example, Prompt
from polychromic.settings import catalog
from polychromic.settings.schema import Settings
from polychromic.stages.models import resolve
from polychromic.stages.rows import read_demonstrations, sources_of

TOKENS_PER_WORD = 1.4
COUNTED = 1024
"""Demonstrations whose tokens are counted."""


def rows_of(settings: Settings) -> tuple[int, float, list[str]]:
    """Rows, tokens per row, and what had to be assumed."""
    data = settings.data
    sources = sources_of(data)
    if data.dataset is not None or any(source.dataset for source in sources):
        return 1000, 512.0, ["datasets of the hub are not looked at: assumed 1,000 rows of 512 tokens"]
    try:
        if sources:
            examples = list(read_demonstrations(data, lambda _: None).examples)
        else:
            examples = list(catalog.build("tasks", data.task).examples(data.split))[: data.max_examples]
    except MissingResourceError as error:
        return 1000, 512.0, [f"{error}: assumed 1,000 rows of 512 tokens"]
    return max(1, len(examples)), _length(settings, examples), []


def _length(settings: Settings, examples: Sequence[Example]) -> float:
    """Tokens of a demonstration: counted by the model's tokenizer where it is here, else guessed from words."""
    texts = []
    for example in examples[:COUNTED]:
        texts.append(f"{text_of(example.prompt)} {example.demonstration}")
    if not texts:
        return 8.0
    file = Path(resolve(settings.model).name_or_path).expanduser() / "tokenizer.json"
    if file.is_file():
        from tokenizers import Tokenizer

        found = Tokenizer.from_file(str(file)).encode_batch(texts, add_special_tokens=False)
        return max(8.0, sum(len(one.ids) for one in found) / len(texts))
    return max(8.0, sum(map(guessed_tokens, texts)) / len(texts))


def text_of(prompt: Prompt) -> str:
    """All that a prompt says, whoever says it."""
    return prompt.content if isinstance(prompt.content, str) else " ".join(turn.content for turn in prompt.content)


def guessed_tokens(text: str) -> float:
    """Tokens of a text, guessed from its words."""
    return TOKENS_PER_WORD * len(text.split())
