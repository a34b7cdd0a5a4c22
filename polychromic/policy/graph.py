"""Decoding as one replayed CUDA graph: a token costs one launch, where a layer alone has some fifty.

The cache has a fixed size (its width in steps of ``WIDTH``), as all addresses in a graph are; prompts are read by the
loop as ever and their keys and values copied in. Tokens are drawn outside the graph, by the loop's own rule, so that
samples are the loop's up to rounding. What cannot be captured is decoded by the loop, and a line says why.
"""

from __future__ import annotations

import logging
from collections import OrderedDict
from typing import Any
from weakref import WeakKeyDictionary

import torch
from peft.tuners.tuners_utils import BaseTunerLayer
from torch import Tensor, nn
from transformers import StaticCache

from polychromic.policy.kv_cache import Prefilled
from polychromic.policy.logprobs import HALF_ROUNDING, ROUNDING, causal_lm
from polychromic.policy.memory import cache_bytes, free_bytes
from polychromic.policy.sharded import units
from polychromic.policy.stream import FULL

WIDTH = 128
"""Tokens by which caches differ in size."""
SLOTS = 2
"""Caches, with their graphs, that are kept for a model."""
MOST_OF_FREE = 0.25
"""The share of the free memory that one of them may take, as it stays while the samples are scored."""

_log = logging.getLogger(__name__)
_slots: WeakKeyDictionary[nn.Module, OrderedDict[tuple[int, int], _Slot]] = WeakKeyDictionary()
_refused: WeakKeyDictionary[nn.Module, str] = WeakKeyDictionary()


class GraphDecoder:
    """The loop's decoder over a cache of fixed size."""

    def __init__(self, model: nn.Module, slot: _Slot) -> None:
        self.model, self.slot = model, slot
        self.rows = torch.arange(slot.token.shape[0], device=slot.token.device)

    def feed(self, token: Tensor) -> Tensor:
        """The logits [rows, vocabulary] after ``token`` [rows, 1]."""
        self.slot.token[self.rows] = token
        return self.slot.step(self.model)[self.rows]

    def keep(self, places: Tensor) -> None:
        """Only these rows go on; the others run along unseen."""
        self.rows = self.rows[places]


class _Slot:
    """A cache of a fixed size, what a step reads, and the graph that runs it. It holds nothing that holds the model."""

    def __init__(self, model: nn.Module, rows: int, width: int, device: torch.device) -> None:
        self.cache = StaticCache(config=causal_lm(model).config, max_cache_len=width)
        self.token = torch.zeros(rows, 1, dtype=torch.long, device=device)
        self.position = torch.zeros(rows, 1, dtype=torch.long, device=device)
        self.mask = torch.zeros(rows, 1, 1, width, dtype=torch.bool, device=device)
        self.filled = 0
        self.graph: Any = None
        self.logits: Tensor | None = None

    def fill(self, read: Prefilled) -> None:
        """Takes over the prompts' keys and values, once for each of their rows."""
        self.filled = read.mask.shape[1]
        for layer, found in zip(self.cache.layers, read.cache.layers, strict=True):
            keys, values = (part.repeat_interleave(read.n, dim=0) for part in (found.keys, found.values))
            if not layer.is_initialized:
                layer.lazy_initialization(keys, values)
            layer.keys[:, :, : self.filled] = keys
            layer.values[:, :, : self.filled] = values
            layer.cumulative_length.fill_(self.filled)
        self.mask.zero_()
        self.mask[:, 0, 0, : self.filled] = read.mask.bool()
        self.position.copy_(read.position)

    def step(self, model: nn.Module) -> Tensor:
        """One token further: the logits of all rows."""
        self.mask[..., self.filled] = True
        self.filled += 1
        self.position += 1
        if self.graph is None:
            return self._forward(model)
        self.graph.replay()
        assert self.logits is not None
        return self.logits

    def _forward(self, model: nn.Module) -> Tensor:
        out = model(
            input_ids=self.token,
            attention_mask=self.mask,
            position_ids=self.position,
            past_key_values=self.cache,
            use_cache=True,
            logits_to_keep=1,
        )
        found: Tensor = out.logits[:, -1]
        return found

    def capture(self, model: nn.Module) -> None:
        """Captures a step; raises RuntimeError when that cannot be, or when its replay gives something else."""
        self.mask[..., self.filled] = True
        aside = torch.cuda.Stream()
        aside.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(aside):
            for _ in range(2):  # what is allocated on first use must not be captured
                expected = self._forward(model).clone()
                self._back()
        torch.cuda.current_stream().wait_stream(aside)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            self.logits = self._forward(model)
        graph.replay()
        self._back()
        gap = float((self.logits.float().log_softmax(-1) - expected.float().log_softmax(-1)).abs().mean())
        if not gap <= ROUNDING.get(expected.dtype, HALF_ROUNDING):
            raise RuntimeError(f"its replay differs by {gap:.2g} nats")
        self.graph = graph

    def _back(self) -> None:
        for layer in self.cache.layers:
            layer.cumulative_length.fill_(self.filled)


def graph_decoder(model: nn.Module, read: Prefilled, room: int) -> GraphDecoder | None:
    """A decoder that goes on from the prompts, with ``room`` for so many tokens; None where the loop has to decode."""
    if model not in _refused and (reason := why_not(model)):
        _refuse(model, reason)
    rows, width, device = len(read.mask), -(-(read.mask.shape[1] + room) // WIDTH) * WIDTH, read.mask.device
    if model in _refused or cache_bytes(model, rows * width) > MOST_OF_FREE * free_bytes(device):
        return None
    slots = _slots.setdefault(model, OrderedDict())
    slot = slots.pop((rows, width), None) or _Slot(model, rows, width, device)
    try:
        slot.fill(read)
        if slot.graph is None and device.type == "cuda":
            slot.capture(model)
    except torch.OutOfMemoryError:
        raise
    except (RuntimeError, ValueError, TypeError, LookupError, AttributeError) as error:
        _refuse(model, f"{type(error).__name__}: {str(error).strip().partition(chr(10))[0]}")
        return None
    slots[rows, width] = slot
    while len(slots) > SLOTS:
        slots.popitem(last=False)
    return GraphDecoder(model, slot)


def why_not(model: Any) -> str | None:
    """Why decoding cannot be captured for this model; None when it can."""
    weights, inner = list(model.parameters()), causal_lm(model)
    if weights[0].device.type != "cuda":
        return "there is no CUDA device"
    if units(model) or len({each.device for each in weights}) > 1:
        return "the weights lie on several devices"
    if any(isinstance(module, BaseTunerLayer) for module in inner.modules()):
        return "the adapter stands beside the weights and may be exchanged"
    if not all(each.is_floating_point() for each in weights):
        return "the base is quantised"
    config = inner.config.get_text_config()
    kinds = getattr(config, "layer_types", None) or [getattr(config, "sliding_window", None) or FULL]
    if set(kinds) != {FULL}:
        return "not all layers keep the whole context"
    if config._attn_implementation not in ("sdpa", "eager"):
        return f"{config._attn_implementation} takes no mask of one's own"
    return None


def _refuse(model: nn.Module, reason: str) -> None:
    _refused[model] = reason
    if torch.cuda.is_available():
        _log.info("tokens are decoded layer by layer, not as one CUDA graph: %s", reason)
