"""That a model without its adapter is the base, measured on a few tokens."""

from __future__ import annotations

from contextlib import nullcontext
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from polychromic.core.errors import InputError
from polychromic.policy.sampling_mode import sampling_mode

TOKENS = 8
ROUNDING = 4.0
"""Spacings between numbers at the largest logit, in the model's precision, by which two readings may differ."""


def base_logits(model: Any) -> Float[Tensor, "t v"]:
    """The logits of ``TOKENS`` tokens spread over the vocabulary, adapters off; in the model's precision."""
    off = model.disable_adapter() if hasattr(model, "peft_config") else nullcontext()
    embedding = model.get_input_embeddings().weight
    tokens = torch.linspace(0, model.config.get_text_config().vocab_size - 1, TOKENS).long().to(embedding.device)
    with sampling_mode(model), off:
        logits: Tensor = model(input_ids=tokens[None], use_cache=False).logits[0]
    return logits


def refuse_moved_base(model: Any, before: Float[Tensor, "t v"], where: str) -> None:
    """Nothing when ``model`` without its adapters gives the plain base's logits ``before``, but for rounding.

    Raises:
        InputError: it does not, so neither the likelihood gate nor any row of an evaluation could be trusted.
    """
    allowed = ROUNDING * torch.finfo(before.dtype).eps * max(1.0, float(before.abs().max()))
    difference = float((base_logits(model) - before).abs().max())
    if difference > allowed:
        raise InputError(
            f"{where}: the adapter moves the base's own weights: without it the logits differ by {difference:.2g} from "
            "the base's; train plain LoRA, or merge it into its base and evaluate the merged model"
        )
