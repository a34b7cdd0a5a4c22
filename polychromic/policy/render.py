"""Prompts and demonstrations as the token ids the trainer sees: the only place that touches a chat template."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from polychromic.core.errors import InputError
from polychromic.core.nouns import Completion, Example, Prompt
from polychromic.policy.generate import Generation, StopTokens


def prompt_ids(tokenizer: Any, prompt: Prompt) -> list[int]:
    """The prompt's token ids: plain text as it stands, a conversation through the template with the answer's opening.

    Raises:
        InputError: a conversation, and the tokenizer has no chat template.
    """
    if isinstance(prompt.content, str):
        ids: list[int] = tokenizer(prompt.content)["input_ids"]
        return list(ids)
    if not tokenizer.chat_template:
        raise InputError(f"prompt {prompt.id!r} is a conversation, and the tokenizer has no chat template")
    encoded = tokenizer.apply_chat_template(
        messages(prompt), add_generation_prompt=True, tokenize=True, return_dict=True
    )
    return list(encoded["input_ids"])


def messages(prompt: Prompt) -> list[dict[str, str]]:
    """A conversation's turns as the libraries want them."""
    assert not isinstance(prompt.content, str)
    return [{"role": turn.role, "content": turn.content} for turn in prompt.content]


def answer_opening(tokenizer: Any) -> tuple[int, ...]:
    """The tokens by which the chat template opens an answer; none without a template, or where it marks no opening."""
    if not tokenizer.chat_template:
        return ()

    def turn(opened: bool) -> list[int]:
        asked = [{"role": "user", "content": "?"}]
        encoded = tokenizer.apply_chat_template(asked, add_generation_prompt=opened, tokenize=True, return_dict=True)
        return list(encoded["input_ids"])

    asked, opened = turn(opened=False), turn(opened=True)
    return tuple(opened[len(asked) :]) if opened[: len(asked)] == asked else ()


def training_row(example: Example) -> dict[str, Any]:
    """The example in TRL's prompt-completion form."""
    if isinstance(example.prompt.content, str):
        return {"prompt": example.prompt.content, "completion": example.demonstration}
    return {
        "prompt": messages(example.prompt),
        "completion": [{"role": "assistant", "content": example.demonstration}],
    }


def stop_tokens_of(model: Any, tokenizer: Any) -> StopTokens:
    """All end tokens of model and tokenizer (there may be several), and the padding token.

    Raises:
        InputError: neither model nor tokenizer names an end token.
    """
    named = getattr(getattr(model, "generation_config", None), "eos_token_id", None)
    eos = set(named if isinstance(named, list) else [] if named is None else [named])
    if tokenizer.eos_token_id is not None:
        eos.add(tokenizer.eos_token_id)
    if not eos:
        raise InputError("the model names no end-of-sequence token, so no completion could ever be finished")
    pad = tokenizer.pad_token_id if tokenizer.pad_token_id is not None else min(eos)
    return StopTokens(tuple(sorted(eos)), pad)


def completions(tokenizer: Any, draws: Sequence[Generation]) -> tuple[Completion, ...]:
    """Draws as completions, with the text a reader would see (no special tokens)."""
    texts = tokenizer.batch_decode([draw.token_ids for draw in draws], skip_special_tokens=True)
    return tuple(
        Completion(text, draw.token_ids, draw.finished, draw.logprob) for text, draw in zip(texts, draws, strict=True)
    )
