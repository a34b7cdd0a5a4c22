"""How completions are laid out for one forward pass without a cache.

A stream is ``[prompt | s1 | .. | sN]``: the prompt is read once, every sample sees the prompt and itself, and positions
go on from the prompt in each of them, so that its states are those it has in a row of its own. The last token of a
sample predicts nothing that is scored and is left out. A stream with one sample is a plain row and needs no mask:
padding is on the right, where no scored token looks.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from math import ceil
from typing import Any

import torch
from torch import Tensor

Sequences = Sequence[Sequence[int]]

MASKED = ("sdpa", "eager", "flex_attention")
"""Attention implementations that take a mask of one's own; those of flash attention know causal rows only."""
WINDOWED, FULL = "sliding_attention", "full_attention"


@dataclass(frozen=True, slots=True)
class Streams:
    """Rows [r, t] of one pass: tokens, their positions, and whose they are (0 the prompt's, i the i-th sample's).

    ``read`` [s] holds the places, in the flattened rows, whose states predict the scored tokens: prompt by prompt,
    sample by sample, token by token. ``plain`` rows hold one sample each.
    """

    ids: Tensor
    positions: Tensor
    owners: Tensor
    read: Tensor
    plain: bool

    def inputs(self, model: Any) -> dict[str, Any]:
        """The decoder's arguments; ``model`` says which masks it wants, and in which form."""
        found: dict[str, Any] = {"input_ids": self.ids, "use_cache": False}
        if self.plain:
            return found
        config = model.config.get_text_config()
        window = getattr(config, "sliding_window", None)
        kinds = getattr(config, "layer_types", None)
        masks = {
            kind: self._mask(model, window if kind == WINDOWED else None)
            for kind in set(kinds or [WINDOWED if window else FULL])
        }
        return found | {"position_ids": self.positions, "attention_mask": masks if kinds else masks.popitem()[1]}

    def _mask(self, model: Any, window: int | None) -> Any:
        if model.config._attn_implementation == "flex_attention":
            return self._blocks(window)
        allowed = self._allowed(window).unsqueeze(1)
        if model.config._attn_implementation == "sdpa":
            return allowed
        dtype = model.get_input_embeddings().weight.dtype
        return torch.zeros_like(allowed, dtype=dtype).masked_fill(~allowed, torch.finfo(dtype).min)

    def _allowed(self, window: int | None) -> Tensor:
        """Shape [r, t, t]: true where a token (second axis) sees another (third)."""
        owners, positions = self.owners, self.positions
        seen = (owners[:, None, :] == 0) | (owners[:, :, None] == owners[:, None, :])
        if window:
            seen = seen & (positions[:, :, None] - positions[:, None, :] < window)
        return seen & torch.ones(seen.shape[1:], dtype=torch.bool, device=seen.device).tril()

    def _blocks(self, window: int | None) -> Any:
        """The same for flex attention, which skips the blocks in which nothing is seen."""
        from torch.nn.attention.flex_attention import create_block_mask

        owners, positions = self.owners, self.positions

        def seen(row: Tensor, head: Tensor, query: Tensor, key: Tensor) -> Tensor:
            own = (owners[row, key] == 0) | (owners[row, query] == owners[row, key])
            near = positions[row, query] - positions[row, key] < (window or 2**31)
            return own & near & (query >= key)

        rows, width = owners.shape
        return create_block_mask(seen, rows, None, width, width, device=str(owners.device))


@dataclass(slots=True)
class _Row:
    """One stream as it grows."""

    ids: list[int]
    positions: list[int]
    owners: list[int]
    read: list[int] = field(default_factory=list)

    @classmethod
    def of(cls, prompt: Sequence[int]) -> _Row:
        return cls(list(prompt), list(range(len(prompt))), [0] * len(prompt))

    def add(self, prompt: int, owner: int, completion: Sequence[int]) -> None:
        """Appends what a completion feeds; ``prompt`` is the prompt's length."""
        if completion:
            start, fed = len(self.ids), completion[:-1]
            self.ids += fed
            self.positions += range(prompt, prompt + len(fed))
            self.owners += [owner] * len(fed)
            self.read += [prompt - 1, *range(start, start + len(fed))]


def lay_out(prompts: Sequences, completions: Sequence[Sequences], together: Sequence[int], device: Any) -> Streams:
    """The streams of every prompt's completions, at most ``together[i]`` samples of the i-th prompt in one."""
    rows: list[_Row] = []
    for prompt, group, most in zip(prompts, completions, together, strict=True):
        for start in range(0, len(group), most):
            row = _Row.of(prompt)
            for owner, completion in enumerate(group[start : start + most], 1):
                row.add(len(prompt), owner, list(completion))
            rows.append(row)
    width = max(len(row.ids) for row in rows)

    def table(lists: Sequence[list[int]], filler: int) -> Tensor:
        return torch.tensor([some + [filler] * (width - len(some)) for some in lists], device=device)

    return Streams(
        table([row.ids for row in rows], 0),
        table([row.positions for row in rows], 0),
        table([row.owners for row in rows], -1),
        torch.tensor([i * width + place for i, row in enumerate(rows) for place in row.read]).long().to(device),
        plain=max(together) == 1,
    )


def samples_a_stream(prompt: Sequence[int], completions: Sequences, hidden: int) -> int:
    """How many samples of a prompt share a stream, so that the least is computed.

    A token costs about ``13 h^2`` multiplications a layer in the matrices and ``2 h`` for every token of its stream in
    attention under a mask: many long samples in one stream read the prompt once, but are compared with each other.
    """
    n = len(completions)
    mean = sum(map(len, completions)) / n

    def cost(together: int) -> float:
        width = len(prompt) + together * mean
        return ceil(n / together) * width * (13 * hidden + 2 * width)

    return min(range(1, n + 1), key=lambda together: (cost(together), -together))


def tokens_in(prompt: Sequence[int], completions: Sequences, together: int) -> int:
    """The tokens of a prompt's streams."""
    return ceil(len(completions) / together) * len(prompt) + sum(max(0, len(one) - 1) for one in completions)
