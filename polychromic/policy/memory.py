"""What a device has left, and what a cache of keys and values takes of it."""

from __future__ import annotations

import math
from typing import Any

import torch


def free_bytes(device: torch.device) -> float:
    """What a CUDA device can still give this process; infinite for others, which are not asked."""
    if device.type != "cuda":
        return math.inf
    held = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
    return float(torch.cuda.mem_get_info(device)[0] + held)


def cache_bytes(model: Any, tokens: int) -> int:
    """The bytes of the keys and values of so many tokens."""
    config, weights = model.config.get_text_config(), next(model.parameters())
    heads = getattr(config, "num_key_value_heads", None) or config.num_attention_heads
    width = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    return int(tokens * 2 * config.num_hidden_layers * heads * width * weights.dtype.itemsize)
