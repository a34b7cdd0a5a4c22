"""Demonstration loss: negative log-likelihood, SFT's own."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class NegativeLogLikelihood:
    """``-log p(y*)``, mean over the target tokens."""

    def loss(self, logits: Tensor, labels: Tensor, items: Tensor | int | None = None) -> Tensor:
        """A scalar in nats per token; logits [b, t, v], labels [b, t] with -100 where nothing is to be learnt."""
        from torch.nn.functional import cross_entropy

        from polychromic.objective.targets import mean_over_targets, targets

        scores, wanted = targets(logits, labels)
        return mean_over_targets(cross_entropy(scores.float(), wanted, reduction="none"), items)
