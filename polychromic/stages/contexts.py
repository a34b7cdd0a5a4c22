"""What a model is shown: prompts in the form that was chosen, the same tokens in training and in evaluation."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from polychromic.core.errors import InputError
from polychromic.core.nouns import Example, Prompt
from polychromic.policy.chat import Format, in_format, refuse_unchosen
from polychromic.settings.schema import ModelSection
from polychromic.stages.models import resolve

COMPARED_ROWS = 1024
"""Demonstrations, evenly spread, whose context is rendered both ways before a model is loaded."""
DIFFERENT_CONTEXTS = 0.05
"""The share of them that may differ."""


@dataclass(frozen=True, slots=True)
class Context:
    """A demonstration's token ids as they are trained on, where its targets begin, and the prompt's at evaluation."""

    ids: tuple[int, ...]
    begin: int
    asked: tuple[int, ...]

    @property
    def same(self) -> bool:
        """Whether training and evaluation see the same context, token for token."""
        return self.ids[: self.begin] == self.asked


def context(tokenizer: Any, example: Example) -> Context:
    """Both contexts of a demonstration."""
    from polychromic.policy.render import prompt_ids, training_ids

    ids, begin = training_ids(tokenizer, example)
    return Context(tuple(ids), begin, tuple(prompt_ids(tokenizer, example.prompt)))


def formatted(section: ModelSection, examples: Sequence[Example]) -> list[Example]:
    """The demonstrations in the form that was chosen.

    Raises:
        InputError: nobody has chosen and the model has a chat template, conversations are mixed with plain text, or too
            many demonstrations would be trained on in another context than they are asked in.
        MissingResourceError: the tokenizer is not to be had.
    """
    from polychromic.policy.load import load_tokenizer

    tokenizer = load_tokenizer(resolve(section))
    refuse_unchosen(tokenizer, [example.prompt for example in examples], section.format)
    found = examples_in_format(examples, section.format)
    refuse_mixture([example.prompt for example in found])
    refuse_other_contexts(tokenizer, found)
    return found


def examples_in_format(examples: Sequence[Example], chosen: Format | None) -> list[Example]:
    """The demonstrations with their prompts as ``in_format`` makes them."""
    prompts = in_format([example.prompt for example in examples], chosen)
    return [Example(prompt, example.demonstration) for prompt, example in zip(prompts, examples, strict=True)]


def refuse_mixture(prompts: Sequence[Prompt]) -> None:
    """Raises InputError where some prompts are conversations and others plain text."""
    plain = sum(isinstance(prompt.content, str) for prompt in prompts)
    if 0 < plain < len(prompts):
        raise InputError(
            f"data: {plain} of {len(prompts)} prompts are plain text and the others conversations; set "
            "model.format=chat, which makes each plain one a user's turn, or give them one form"
        )


def refuse_other_contexts(tokenizer: Any, examples: Sequence[Example]) -> None:
    """Warns of demonstrations that are trained on in another context than they are asked in.

    Raises:
        InputError: they are more than ``DIFFERENT_CONTEXTS`` of those looked at.
    """
    step = -(-len(examples) // COMPARED_ROWS)
    looked = [context(tokenizer, example) for example in examples[::step]]
    other = [one for one in looked if not one.same]
    if not other:
        return
    trained, asked = (tokenizer.decode(ids[-6:]) for ids in (other[0].ids[: other[0].begin], other[0].asked))
    said = (
        f"data: {len(other)} of {len(looked)} demonstrations would be trained on after ...{trained!r} and asked after "
        f"...{asked!r}, which are not the same tokens"
    )
    if len(other) > DIFFERENT_CONTEXTS * len(looked):
        raise InputError(f"{said}; {_advice(asked)}")
    warnings.warn(said, stacklevel=3)


def _advice(asked: str) -> str:
    if "think>" in asked:
        return (
            "the chat template opens a thought that it does not show in a demonstration: choose another "
            "(training.chat_template_path), an option of it (model.chat_template_kwargs) or model.format=plain"
        )
    return "end prompts before the white space and begin completions with it; `polychromic data show` shows the tokens"


@dataclass(frozen=True, slots=True)
class ShownRow:
    """A demonstration as a model is shown it: ``text`` is the whole of it with its targets between brackets.

    ``trained`` and ``asked`` are the last tokens of the context in training and at evaluation.
    """

    id: str
    text: str
    context_tokens: int
    target_tokens: int
    asked_tokens: int
    trained: tuple[str, ...]
    asked: tuple[str, ...]
    same: bool


TARGET = ("\N{MATHEMATICAL LEFT WHITE SQUARE BRACKET}", "\N{MATHEMATICAL RIGHT WHITE SQUARE BRACKET}")
LAST_TOKENS = 6


def shown(section: ModelSection, examples: Sequence[Example]) -> list[ShownRow]:
    """The demonstrations as the model will see them, in the form that was chosen.

    Raises:
        InputError: nobody has chosen and the model has a chat template.
        MissingResourceError: the tokenizer is not to be had.
    """
    from polychromic.policy.load import load_tokenizer

    tokenizer = load_tokenizer(resolve(section))
    refuse_unchosen(tokenizer, [example.prompt for example in examples], section.format)
    return [_shown(tokenizer, example) for example in examples_in_format(examples, section.format)]


def _shown(tokenizer: Any, example: Example) -> ShownRow:
    found = context(tokenizer, example)
    trained, target = found.ids[: found.begin], found.ids[found.begin :]

    def last(ids: Sequence[int]) -> tuple[str, ...]:
        return tuple(tokenizer.decode([token]) for token in ids[-LAST_TOKENS:])

    text = tokenizer.decode(list(trained)) + TARGET[0] + tokenizer.decode(list(target)) + TARGET[1]
    sizes = len(trained), len(target), len(found.asked)
    return ShownRow(example.prompt.id, text, *sizes, last(trained), last(found.asked), found.same)
