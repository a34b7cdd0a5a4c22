"""What a tokenizer's chat template decides: its options, how an answer opens and ends, and who goes through it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Literal

from polychromic.core.errors import InputError, at_fault
from polychromic.core.nouns import Message, Prompt
from polychromic.core.thoughts import CLOSING, OPENING

Format = Literal["chat", "plain"]
_MARK = "an answer of somebody"


def pin(tokenizer: Any, options: Mapping[str, Any]) -> None:
    """Sets the template's options inside it: whoever renders with the tokenizer, or loads it later, has them too.

    Raises:
        InputError: there is no template, or it reads no variable of that name.
    """
    template = tokenizer.chat_template
    for name, value in options.items():
        if not isinstance(template, str) or not re.search(rf"\b{re.escape(name)}\b", tokenizer.chat_template):
            raise InputError(f"model.chat_template_kwargs: the tokenizer's chat template does not read {name!r}")
        setting = f"{{% set {name} = {value!r} %}}"
        template = template if setting in template else setting + template
    tokenizer.chat_template = template


def open_demonstrations(tokenizer: Any) -> None:
    """Makes a demonstration begin as answers are asked for, where the template opens a thought only when it asks.

    The template becomes: a conversation that ends with an answer is what asks for it, then the answer (its thought
    closed at once where it has none), then what the template ends answers by. What asks stays as it was.
    """
    own = tokenizer.chat_template
    if not isinstance(own, str) or OPENING not in own:
        return
    asked = [{"role": "user", "content": "?"}]
    said = [*asked, {"role": "assistant", "content": _MARK}]
    opened = str(rendered(tokenizer, asked, add_generation_prompt=True, tokenize=False))
    if not opened.rstrip().endswith(OPENING) or _begins(tokenizer, said, asked):
        return
    ending = str(rendered(tokenizer, said, tokenize=False)).rpartition(_MARK)[2]
    tokenizer.chat_template = _WHOLE.format(own=own, opening=OPENING, closing=CLOSING, ending=ending)
    if str(rendered(tokenizer, asked, add_generation_prompt=True, tokenize=False)) != opened:
        tokenizer.chat_template = own  # it does not bear being part of another: its demonstrations are refused


_WHOLE = (
    "{{% macro conversation(messages, add_generation_prompt) %}}{own}{{% endmacro %}}"
    "{{% if messages[-1]['role'] == 'assistant' and not add_generation_prompt %}}"
    "{{{{ conversation(messages[:-1], true) }}}}{{% set said = messages[-1]['content'] %}}"
    "{{{{ said.split({opening!r})[-1].lstrip() if {closing!r} in said else {closing!r} + '\n\n' + said }}}}"
    "{{{{ {ending!r} }}}}{{% else %}}{{{{ conversation(messages, add_generation_prompt) }}}}{{% endif %}}"
)


def _begins(tokenizer: Any, said: Sequence[Mapping[str, Any]], asked: Sequence[Mapping[str, Any]]) -> bool:
    """Whether the conversation's tokens begin with those of asking for its answer."""
    whole, opened = (
        list(
            rendered(tokenizer, turns, add_generation_prompt=turns is asked, tokenize=True, return_dict=True)[
                "input_ids"
            ]
        )
        for turns in (said, asked)
    )
    return whole[: len(opened)] == opened


def in_format(prompts: Iterable[Prompt], chosen: Format | None) -> list[Prompt]:
    """The prompts, for ``chat`` with each plain text as a user's turn; conversations stay as they are."""
    return [
        replace(prompt, content=(Message("user", prompt.content),))
        if chosen == "chat" and isinstance(prompt.content, str)
        else prompt
        for prompt in prompts
    ]


def rendered(tokenizer: Any, turns: Sequence[Mapping[str, Any]], **how: Any) -> Any:
    """A conversation through the chat template; raises InputError when the template fails on it."""
    with at_fault("the model's chat template fails"):
        return tokenizer.apply_chat_template(turns, **how)


def refuse_unchosen(tokenizer: Any, prompts: Sequence[Prompt], chosen: Format | None) -> None:
    """Raises InputError where plain prompts could go through a chat template or not, and nobody has said which.

    A template that leaves a prompt as it is leaves nothing to choose.
    """
    plain = [prompt for prompt in prompts if isinstance(prompt.content, str)]
    if chosen is not None or not plain or not tokenizer.chat_template:
        return
    turn = [{"role": "user", "content": plain[0].content}]
    if rendered(tokenizer, turn, add_generation_prompt=True, tokenize=False) == plain[0].content:
        return
    raise InputError(
        f"model.format: {len(plain)} prompts are plain text and the model has a chat template; choose chat (each "
        "becomes a user's turn) or plain (continued as it stands), in the configuration or by --format"
    )


def answer_opening(tokenizer: Any) -> tuple[int, ...]:
    """The tokens by which the chat template opens an answer; none without a template, or where it marks no opening."""
    if not tokenizer.chat_template:
        return ()

    def turn(opened: bool) -> list[int]:
        asked = [{"role": "user", "content": "?"}]
        encoded = rendered(tokenizer, asked, add_generation_prompt=opened, tokenize=True, return_dict=True)
        return list(encoded["input_ids"])

    asked, opened = turn(opened=False), turn(opened=True)
    return tuple(opened[len(asked) :]) if opened[: len(asked)] == asked else ()


def answer_ending(tokenizer: Any) -> tuple[int, ...]:
    """The token by which the chat template ends an answer; none without a template, or where it ends it by plain text.

    It need not be the tokenizer's end token: a base model's often is another, and a sample would never end by it.
    """
    if not tokenizer.chat_template:
        return ()
    said = [{"role": "user", "content": "?"}, {"role": "assistant", "content": _MARK}]
    text = str(rendered(tokenizer, said, tokenize=False))
    return ending_of(tokenizer, tokenizer(text.rpartition(_MARK)[2], add_special_tokens=False)["input_ids"])


def ending_of(tokenizer: Any, tokens: Sequence[int]) -> tuple[int, ...]:
    """The last of a demonstration's tokens when it is a special one, white space behind it aside; else none."""
    special = {*tokenizer.all_special_ids, *tokenizer.added_tokens_decoder}
    for token in reversed(tokens):
        if token in special:
            return (token,)
        if tokenizer.decode([token]).strip():
            return ()
    return ()
