"""The state in which a training model may generate, entered and left as a whole.

Generating in train mode with gradient checkpointing on gives silently wrong samples (the cache is dropped while only
the last token is fed), and dropout left on inflates diversity. So: eval mode, checkpointing off, cache on, no
gradient, and everything as it was afterwards, also after an exception.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn


@contextmanager
def sampling_mode(model: nn.Module) -> Iterator[None]:
    """Within it ``model`` generates as it will after training; on leaving, every module is as it was before."""
    modules: list[Any] = list(model.modules())
    training = [module for module in modules if module.training]
    checkpointed = [module for module in modules if module.__dict__.get("gradient_checkpointing") is True]
    configs = {id(config): config for module in modules if (config := module.__dict__.get("config"))}
    caching = [(config, config.use_cache) for config in configs.values() if hasattr(config, "use_cache")]
    try:
        for module in training:
            module.training = False
        for module in checkpointed:
            module.gradient_checkpointing = False
        for config, _ in caching:
            config.use_cache = True
        with torch.no_grad():
            yield
    finally:
        for module in training:
            module.training = True
        for module in checkpointed:
            module.gradient_checkpointing = True
        for config, used in caching:
            config.use_cache = used


@contextmanager
def scoring_mode(model: nn.Module) -> Iterator[None]:
    """Within it dropout and NEFTune's noise are off, as when the samples were drawn; checkpointing stays as it is.

    The backward pass belongs inside too: checkpointed layers run again there. No random number is consumed, so runs
    that differ only in lambda see the same dropout on their demonstrations.
    """
    modules: list[Any] = list(model.modules())
    noisy = [
        module
        for module in modules
        if isinstance(module, nn.modules.dropout._DropoutNd) or "neftune_noise_alpha" in module.__dict__
    ]
    training = [module.training for module in noisy]
    attention: list[tuple[Any, Any]] = [
        (module, module.attention_dropout)
        for module in modules
        if isinstance(module.__dict__.get("attention_dropout"), float)
    ]
    try:
        for module in noisy:
            module.training = False
        for module, _ in attention:
            module.attention_dropout = 0.0
        yield
    finally:
        for module, was in zip(noisy, training, strict=True):
            module.training = was
        for module, share in attention:
            module.attention_dropout = share
