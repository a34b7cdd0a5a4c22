"""Demonstration loss: TOFU, the tempered focal loss of 2605.00195."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from polychromic.core.errors import InputError

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class Tofu:
    """``-sg[g(p, gamma)] beta log p_beta(y*)`` with ``p_beta = softmax(logits / beta)`` (2605.00195).

    ``g(p, gamma) = (1-p)^gamma - gamma p (1-p)^(gamma-1) log p`` with ``p = p(y*)`` is the factor by which the focal
    loss (1708.02002) scales the gradient of the likelihood. ``gamma = 0`` has the gradient of linear GEM, ``beta = 1``
    besides that of NLL.
    """

    beta: float = 0.7
    gamma: float = 1.0

    def __post_init__(self) -> None:
        if not (self.beta > 0.0 and (self.gamma == 0.0 or self.gamma >= 1.0)):
            raise InputError(f"tofu: beta must be positive and gamma 0 or at least 1, not {self.beta} and {self.gamma}")

    def loss(self, logits: Tensor, labels: Tensor, items: Tensor | int | None = None) -> Tensor:
        """A scalar; logits [b, t, v], labels [b, t] with -100 where nothing is to be learnt."""
        import torch

        from polychromic.objective.targets import mean_over_targets, targets

        scores, wanted = targets(logits, labels)
        scores = scores.float()
        logp = torch.log_softmax(scores.detach(), dim=-1).gather(-1, wanted[:, None])[:, 0]
        tempered = torch.log_softmax(scores / self.beta, dim=-1).gather(-1, wanted[:, None])[:, 0]
        return mean_over_targets(-focal_factor(logp, self.gamma) * self.beta * tempered, items)


def focal_factor(logp: Tensor, gamma: float) -> Tensor:
    """``(1-p)^gamma - gamma p (1-p)^(gamma-1) log p`` for ``gamma`` 0 or at least 1; 1 at p = 0, 0 at p = 1."""
    import torch

    if gamma == 0.0:
        return torch.ones_like(logp)
    p = logp.exp()
    rest = (1.0 - p).clamp(min=0.0)
    surprise = torch.where(p > 0, p * logp, torch.zeros_like(p))
    return rest**gamma - gamma * rest ** (gamma - 1.0) * surprise
