"""Demonstrations that are longer than the window of tokens that is trained on, by their prompts' ids."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from polychromic.core.nouns import Example

NAMED = 3
"""Ids in the sentence."""


def sentence(examples: Sequence[Example], tokenizer: Any, limit: int | None) -> tuple[str, list[str]]:
    """What is cut off at ``limit`` tokens, in one sentence, and the ids of the prompts; empty where all fits.

    Rows that cannot reach the limit, having at most as many tokens as bytes, are not tokenised.
    """
    from polychromic.policy.render import prompt_ids

    cut, lost = [], []
    for example in examples if limit else ():
        if limit and _bytes(example) + 64 > limit:
            asked = len(prompt_ids(tokenizer, example.prompt))
            answer = len(tokenizer(example.demonstration, add_special_tokens=False)["input_ids"]) + 1
            if asked >= limit:
                lost.append(example.prompt.id)
            elif asked + answer > limit:
                cut.append(example.prompt.id)
    if not cut and not lost:
        return "", []
    said = (
        f"{len(cut) + len(lost)} of {len(examples)} demonstrations are longer than training.max_length ({limit} tokens)"
    )
    parts = [f"{len(cut)} of them are cut there"] if cut else []
    parts += [f"{len(lost)} have no room for an answer and are left out"] if lost else []
    named = ", ".join((lost + cut)[:NAMED]) + (" ..." if len(cut) + len(lost) > NAMED else "")
    return f"{said}; {', '.join(parts)}: {named}", lost + cut


def tell(trainer: Any, examples: Sequence[Example]) -> None:
    """Makes it a finding on the health of the trainer's run when rows are cut."""
    said, rows = sentence(examples, trainer.processing_class, trainer.args.max_length)
    if said:
        trainer.health.found("rows cut", said, 0, rows)


def _bytes(example: Example) -> int:
    """Of all texts of a row."""
    content = example.prompt.content
    turns = [content] if isinstance(content, str) else [turn.role + turn.content for turn in content]
    return sum(len(text.encode("utf-8", "replace")) + 16 for text in (*turns, example.demonstration))
