"""A copy of an adapted model to sample from, with the adapter in its weights: no second product in every layer.

Out of place: the copy has weights ``W + s B A`` of its own where there is an adapter and shares all others with the
model, which is left alone and cannot drift. They are made anew from the model's whenever the copy is asked for.
"""

from __future__ import annotations

import copy
import logging
from typing import Any
from weakref import WeakKeyDictionary

import psutil  # type: ignore[import-untyped]
import torch
from peft.tuners.lora import LoraLayer
from torch import Tensor, nn

from polychromic.policy.logprobs import HALF_ROUNDING, ROUNDING, causal_lm
from polychromic.policy.memory import free_bytes
from polychromic.policy.sampling_mode import sampling_mode
from polychromic.policy.sharded import units

MOST_OF_FREE = 0.5
"""The share of the device's free memory that the copy may take: training needs the rest."""

_log = logging.getLogger(__name__)


def merged(model: nn.Module) -> nn.Module:
    """What draws as ``model`` does, up to rounding, in fewer operations; ``model`` itself where there is no such copy.

    Valid until the model's weights change. The first time, both are asked for the same tokens.
    """
    if model not in _copies:
        _copies[model] = _made(model)
    found = _copies[model]
    return model if found is None else found.refreshed()


class _Copy:
    """The copy of one model. It holds the model's layers, and nothing that holds the model itself."""

    def __init__(self, model: Any) -> None:
        inner, self.adapter = causal_lm(model), next(iter(model.peft_config))
        self.layers: list[tuple[Any, Tensor]] = []
        with torch.device("meta"), torch.random.fork_rng(devices=[]):
            self.model = type(inner)(copy.deepcopy(inner.config)).eval()
        for name, module in self.model.named_modules():
            layer = inner.get_submodule(name)
            source = layer.get_base_layer() if isinstance(layer, LoraLayer) else layer
            module._buffers.update(source._buffers)
            for key, value in source._parameters.items():
                own = value if value is None else nn.Parameter(value.detach(), requires_grad=False)
                if layer is not source and key == "weight":
                    own = nn.Parameter(torch.empty_like(value), requires_grad=False)
                    self.layers.append((layer, own))
                module._parameters[key] = own

    @torch.no_grad()
    def refreshed(self) -> nn.Module:
        """The copy with the model's weights of now."""
        for layer, weight in self.layers:
            weight.copy_(layer.get_base_layer().weight + layer.get_delta_weight(self.adapter))
        return self.model


_copies: WeakKeyDictionary[nn.Module, _Copy | None] = WeakKeyDictionary()
"""The copies of the models met so far; None for one that cannot have one."""


def _made(model: nn.Module) -> _Copy | None:
    reason = _why_not(model)
    if reason is None:
        try:
            found = _Copy(model)
            reason = _difference(model, found.refreshed())
        except (RuntimeError, ValueError, TypeError, LookupError, AttributeError, NotImplementedError) as error:
            reason = f"it cannot be made ({type(error).__name__})"
    if reason is None:
        return found
    _log.info("samples are drawn with the adapter beside the weights, not from a merged copy: %s", reason)
    return None


def _why_not(model: Any) -> str | None:
    """Why the model cannot have a copy; None when it can."""
    if not hasattr(model, "peft_config"):
        return "there is no adapter"
    if units(model):
        return "the weights are shared out over ranks"
    if len(model.peft_config) != 1:
        return "there is more than one adapter"
    (adapter, config), layers = (
        next(iter(model.peft_config.items())),
        [layer for layer in causal_lm(model).modules() if isinstance(layer, LoraLayer)],
    )
    beside = ("modules_to_save", "trainable_token_indices", "target_parameters")
    if not layers or any(getattr(config, name, None) for name in beside):
        return "the adapter is not LoRA alone"
    if any(
        layer.lora_variant or layer.lora_bias.get(adapter) or layer.active_adapters != [adapter] for layer in layers
    ):
        return "the adapter is not LoRA in its plain form"
    weights = [layer.get_base_layer().weight for layer in layers]
    if not all(type(weight) is nn.Parameter and weight.is_floating_point() for weight in weights):
        return "the base is quantised"
    size, device = sum(weight.numel() * weight.element_size() for weight in weights), weights[0].device
    free = psutil.virtual_memory().available if device.type == "cpu" else free_bytes(device)
    if size > MOST_OF_FREE * free:
        return f"it takes {size / 2**30:.1f} GiB, and {device} has {free / 2**30:.1f} GiB free"
    return None


@torch.no_grad()
def _difference(model: nn.Module, other: Any) -> str | None:
    """Why the copy is not to be trusted with a few tokens; None when it gives what the model gives."""
    weights = next(other.parameters())
    ids = (torch.arange(1, 9, device=weights.device) % other.config.vocab_size).unsqueeze(0)
    with sampling_mode(model):
        found = [each(input_ids=ids, use_cache=False).logits.float().log_softmax(dim=-1) for each in (model, other)]
    gap = float((found[0] - found[1]).gather(2, found[0].argmax(dim=2, keepdim=True)).abs().mean())
    if gap <= ROUNDING.get(weights.dtype, HALF_ROUNDING):
        return None
    return f"it differs by {gap:.2g} nats a token"
