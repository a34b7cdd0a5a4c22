"""Demonstration loss: label smoothing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from polychromic.core.errors import InputError

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class LabelSmoothing:
    """``-(1 - epsilon) log p(y*) - epsilon mean_v log p(v)`` (1512.00567)."""

    epsilon: float = 0.1

    def __post_init__(self) -> None:
        if not 0.0 <= self.epsilon < 1.0:
            raise InputError(f"label_smoothing: epsilon must lie in [0, 1), not {self.epsilon}")

    def loss(self, logits: Tensor, labels: Tensor, items: Tensor | int | None = None) -> Tensor:
        """A scalar in nats per token; logits [b, t, v], labels [b, t] with -100 where nothing is to be learnt."""
        import torch

        from polychromic.objective.targets import mean_over_targets, targets

        scores, wanted = targets(logits, labels)
        logp = torch.log_softmax(scores.float(), dim=-1)
        right = logp.gather(-1, wanted[:, None])[:, 0]
        return mean_over_targets(-(1.0 - self.epsilon) * right - self.epsilon * logp.mean(dim=-1), items)
