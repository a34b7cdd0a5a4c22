"""A cache of keys and values with room to grow: a token is written into it, where the whole cache would be copied."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from transformers.cache_utils import DynamicLayer


@dataclass(frozen=True, slots=True)
class Prefilled:
    """Prompts [p] that were read once each, and the mask [p n, t] and last position [p n, 1] of ``n`` rows of each."""

    cache: Any
    mask: Tensor
    position: Tensor
    n: int


ROOM = 64
"""The tokens for which room is made at a time."""


class RoomyLayer(DynamicLayer):  # type: ignore[misc]
    """The layer that grows by concatenation, without it: ``keys`` and ``values`` are the filled part of two blocks."""

    keys: Tensor
    values: Tensor
    blocks: list[Tensor] | None = None

    def update(self, key_states: Tensor, value_states: Tensor, *args: Any, **kwargs: Any) -> tuple[Tensor, Tensor]:
        """All keys and values [rows, heads, tokens, width], the new ones included."""
        start = self.get_seq_length()
        if not start:
            return super().update(key_states, value_states)  # type: ignore[no-any-return]
        end = start + key_states.shape[-2]
        if self.blocks is None or self.blocks[0].shape[-2] < end:
            self.blocks = [_with_room(old, end + ROOM) for old in (self.keys, self.values)]
        for block, new in zip(self.blocks, (key_states, value_states), strict=True):
            block[:, :, start:end] = new
        self.keys, self.values = (block[:, :, :end] for block in self.blocks)
        return self.keys, self.values

    def batch_repeat_interleave(self, repeats: int) -> None:
        """Every row ``repeats`` times."""
        self.blocks = None
        super().batch_repeat_interleave(repeats)

    def batch_select_indices(self, indices: Tensor) -> None:
        """Only these rows."""
        self.blocks = None
        super().batch_select_indices(indices)


def make_room(cache: Any) -> None:
    """Turns the layers of a filled cache that would grow by concatenation into roomy ones; others stay."""
    for place, layer in enumerate(getattr(cache, "layers", ())):
        if type(layer) is DynamicLayer:
            roomy = cache.layers[place] = RoomyLayer()
            roomy.__dict__.update(layer.__dict__)


def _with_room(old: Tensor, size: int) -> Tensor:
    rows, heads, filled, width = old.shape
    block = torch.empty(rows, heads, size, width, dtype=old.dtype, device=old.device)
    block[:, :, :filled] = old
    return block
