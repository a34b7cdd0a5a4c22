"""Token masks that let a model write nothing but JSON of a schema. The only door to xgrammar, which is an extra."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor

from polychromic.core.errors import InputError
from polychromic.core.extras import absent

INSTEAD = "only ask the model for it, with engine: {kind: transformers, schema: null}"


class Constraint:
    """The texts that a JSON schema allows, over a tokenizer's vocabulary: one path for each row that is being drawn.

    White space is fixed, so that an object has one form. When the text is complete only the
    tokens in ``eos`` can follow. ``vocabulary`` is the width of the model's logits.

    Raises:
        MissingResourceError: xgrammar is not installed.
        InputError: it cannot read the schema.
    """

    def __init__(self, tokenizer: Any, vocabulary: int, eos: Sequence[int], schema: Mapping[str, Any]) -> None:
        self._compiled = _compiled(tokenizer, vocabulary, tuple(eos), json.dumps(schema))

    def paths(self, rows: int) -> Paths:
        """``rows`` paths, each at the beginning of a text."""
        return Paths(self._compiled, rows)


class Paths:
    """How far each row's text has come."""

    def __init__(self, compiled: Any, rows: int) -> None:
        import xgrammar

        self._matchers = [xgrammar.GrammarMatcher(compiled) for _ in range(rows)]

    def allowed(self, logits: Tensor, rows: Sequence[int]) -> Tensor:
        """``logits`` [len(rows), vocabulary] with what may not come next at minus infinity.

        A row whose text has ended is left as it is.
        """
        import xgrammar

        words: Tensor = xgrammar.allocate_token_bitmask(len(rows), logits.shape[-1])  # int32, every bit set
        for place, row in enumerate(rows):
            if not self._matchers[row].is_terminated():
                self._matchers[row].fill_next_token_bitmask(words, place)
        bits = words.to(logits.device).unsqueeze(-1) >> torch.arange(32, device=logits.device, dtype=torch.int32) & 1
        return logits.masked_fill(bits.flatten(1)[:, : logits.shape[-1]] == 0, -torch.inf)

    def take(self, tokens: Tensor, rows: Sequence[int]) -> None:
        """Moves each row on by its token; a row whose text has ended stays where it is."""
        for token, row in zip(tokens.tolist(), rows, strict=True):
            if not self._matchers[row].is_terminated():
                self._matchers[row].accept_token(token)


@lru_cache(maxsize=4)
def _compiled(tokenizer: Any, vocabulary: int, eos: tuple[int, ...], schema: str) -> Any:
    try:
        import xgrammar
    except ImportError:
        raise absent("xgrammar", INSTEAD) from None
    info = xgrammar.TokenizerInfo.from_huggingface(tokenizer, vocab_size=vocabulary, stop_token_ids=list(eos))
    try:
        return xgrammar.GrammarCompiler(info).compile_json_schema(schema, any_whitespace=False)
    except RuntimeError as error:
        reason = str(error).strip().splitlines()[-1].rpartition(".cc:")[2].partition(": ")[2]
        raise InputError(f"schema: {reason or 'xgrammar cannot read it'}") from None
