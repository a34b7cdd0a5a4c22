"""Prompts and demonstrations as the token ids the trainer sees, and what was drawn as completions."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from polychromic.core.errors import InputError
from polychromic.core.nouns import Completion, Example, Prompt
from polychromic.core.thoughts import CLOSING, OPENING, split_thought
from polychromic.policy.chat import answer_ending, ending_of, rendered
from polychromic.policy.generate import Generation, StopTokens

CONTEXT_END = 8
"""Tokens of a prompt's end that may open a thought."""


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
    encoded = rendered(tokenizer, messages(prompt), add_generation_prompt=True, tokenize=True, return_dict=True)
    return list(encoded["input_ids"])


def messages(prompt: Prompt) -> list[dict[str, str]]:
    """A conversation's turns as the libraries want them."""
    assert not isinstance(prompt.content, str)
    return [{"role": turn.role, "content": turn.content} for turn in prompt.content]


def training_row(example: Example) -> dict[str, Any]:
    """The example in TRL's prompt-completion form."""
    if isinstance(example.prompt.content, str):
        return {"prompt": example.prompt.content, "completion": example.demonstration}
    return {
        "prompt": messages(example.prompt),
        "completion": [{"role": "assistant", "content": example.demonstration}],
    }


def training_ids(tokenizer: Any, example: Example) -> tuple[list[int], int]:
    """The example's token ids as SFTTrainer makes them of its ``training_row``, and where the targets begin.

    That is where they part from the prompt's own ids: before the prompt's end where its last token merges with the
    completion's first, or where the template opens an answer that is there in another way than one that is asked for.
    """
    asked, row = prompt_ids(tokenizer, example.prompt), training_row(example)
    if isinstance(row["prompt"], str):
        end = tokenizer.eos_token
        whole = row["prompt"] + row["completion"]
        ids = list(tokenizer(whole if whole.endswith(end) else whole + end)["input_ids"])
    else:
        turns = row["prompt"] + row["completion"]
        ids = list(rendered(tokenizer, turns, tokenize=True, return_dict=True)["input_ids"])
    return ids, next(
        (at for at, (a, b) in enumerate(zip(asked, ids, strict=False)) if a != b), min(len(asked), len(ids))
    )


def stop_tokens_of(model: Any, tokenizer: Any, targets: Iterable[Sequence[int]] = ()) -> StopTokens:
    """All tokens that end an answer, and the padding token.

    They are those of the model and the tokenizer, the one by which the chat template ends an answer, and those by
    which demonstrations (``targets``, their token ids) end.

    Raises:
        InputError: neither model nor tokenizer names an end token.
    """
    named = getattr(getattr(model, "generation_config", None), "eos_token_id", None)
    eos = set(named if isinstance(named, list) else [] if named is None else [named])
    if tokenizer.eos_token_id is not None:
        eos.add(tokenizer.eos_token_id)
    eos.update(answer_ending(tokenizer), *(ending_of(tokenizer, target) for target in targets))
    if not eos:
        raise InputError("the model names no end-of-sequence token, so no completion could ever be finished")
    pad = tokenizer.pad_token_id if tokenizer.pad_token_id is not None else min(eos)
    return StopTokens(tuple(sorted(eos)), pad)


def completions(tokenizer: Any, draws: Sequence[Generation], context: Sequence[int] = ()) -> tuple[Completion, ...]:
    """Draws as completions, with the answer a reader would see (no special tokens) and apart from it the thought.

    ``context`` are the prompt's tokens, whose end may open the thought.
    """
    texts = _decoded(tokenizer, [draw.token_ids for draw in draws])
    opened = tokenizer.decode(list(context[-CONTEXT_END:])) if context else ""
    parts = [split_thought(text, opened) for text in texts]
    return tuple(
        Completion(text, draw.token_ids, draw.finished, draw.logprob, thought)
        for (thought, text), draw in zip(parts, draws, strict=True)
    )


def _decoded(tokenizer: Any, rows: Sequence[Sequence[int]]) -> list[str]:
    """The texts without special tokens; the tags of thoughts stay, also where a tokenizer calls them special."""
    named = {tag: tokenizer.convert_tokens_to_ids(tag) for tag in (OPENING, CLOSING)}
    tags = {token: tag for tag, token in named.items() if token not in (None, tokenizer.unk_token_id)}
    if not tags.keys() & set(tokenizer.all_special_ids):
        return list(tokenizer.batch_decode(rows, skip_special_tokens=True))
    found = []
    for row in rows:
        pieces: list[list[int]] = [[]]
        shown: list[str] = []
        for token in row:
            if token in tags:
                shown.append(tags[token])
                pieces.append([])
            else:
                pieces[-1].append(token)
        texts = tokenizer.batch_decode(pieces, skip_special_tokens=True)
        found.append("".join(tag + text for tag, text in zip(["", *shown], texts, strict=True)))
    return found
