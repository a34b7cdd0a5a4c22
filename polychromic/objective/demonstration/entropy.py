"""Demonstration loss: likelihood with an entropy bonus for every token."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from polychromic.core.errors import InputError

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class EntropyBonus:
    """``-log p(y*) - beta H(p)`` with the token entropy ``H(p) = -sum_v p(v) log p(v)`` (1701.06548)."""

    beta: float = 0.1

    def __post_init__(self) -> None:
        if not self.beta >= 0.0:
            raise InputError(f"entropy: beta must be 0 or more, not {self.beta}")

    def loss(self, logits: Tensor, labels: Tensor, items: Tensor | int | None = None) -> Tensor:
        """A scalar in nats per token; logits [b, t, v], labels [b, t] with -100 where nothing is to be learnt."""
        import torch

        from polychromic.objective.targets import mean_over_targets, targets

        scores, wanted = targets(logits, labels)
        logp = torch.log_softmax(scores.float(), dim=-1)
        entropy = -(logp.exp() * logp).sum(dim=-1)
        return mean_over_targets(-logp.gather(-1, wanted[:, None])[:, 0] - self.beta * entropy, items)
