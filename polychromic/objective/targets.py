"""Which logits predict which tokens: what every loss on demonstrations starts with."""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor

IGNORED = -100


def targets(
    logits: Float[Tensor, "b t v"], labels: Int[Tensor, "b t"]
) -> tuple[Float[Tensor, "s v"], Int[Tensor, " s"]]:
    """The logits of the ``s`` scored positions and the tokens they should have predicted.

    ``labels`` are the input tokens with -100 where nothing is to be learnt; position ``t`` predicts token ``t + 1``.
    """
    wanted = labels[:, 1:].to(logits.device)
    scored = wanted != IGNORED
    return logits[:, :-1][scored], wanted[scored]


def mean_over_targets(per_token: Float[Tensor, " s"], items: Tensor | int | None) -> Float[Tensor, ""]:
    """Sum over ``items``, the targets of the whole accumulation window (default: of this batch); 0 without a target."""
    count = torch.as_tensor(per_token.numel() if items is None else items, device=per_token.device)
    return per_token.sum() / count.clamp(min=1)
