"""The scalar whose gradient is the estimator."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor


def diversity_surrogate(advantages: Float[Tensor, "p n"], logprobs: Float[Tensor, "p n"]) -> Float[Tensor, ""]:
    """Mean over prompts of ``sum_i A_i log q(y_i)``: a scalar whose gradient estimates ``grad E[f]``.

    ``logprobs`` are natural logarithms **summed** over a completion's tokens at the sampling temperature. A sample
    whose advantage is 0 has no influence, not even through an infinite log-probability; without prompts or samples
    the result is a finite zero that still hangs on the graph. The value itself means nothing. Raises ValueError when
    the shapes differ.
    """
    if advantages.shape != logprobs.shape or advantages.ndim != 2:
        raise ValueError(
            f"advantages {tuple(advantages.shape)} and logprobs {tuple(logprobs.shape)} must both be [p, n]"
        )
    if not logprobs.numel():
        return logprobs.sum() * 0.0
    weight = advantages.detach().to(device=logprobs.device, dtype=logprobs.dtype)
    counted = weight != 0
    safe = torch.where(counted, logprobs, torch.zeros_like(logprobs))
    return (weight * safe).sum() / logprobs.shape[0]


def importance_weights(
    scored: Float[Tensor, "p n"], drawn: Float[Tensor, "p n"], largest: float
) -> Float[Tensor, "p n"]:
    """``min(q(y) / mu(y), largest)`` of samples drawn from ``mu``, without gradient (truncated, 1802.01561).

    From summed log-probabilities. Each sample is weighted by itself, though a set's credit hangs on all of them: exact
    where all weights are 1, else a correction of first order. Only for ``mu`` that is ``q`` up to rounding.
    """
    return (scored.detach() - drawn.to(scored)).exp().clamp(max=largest)
