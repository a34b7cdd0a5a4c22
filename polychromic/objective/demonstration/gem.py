"""Demonstration loss: GEM, the game-theoretic entropy maximisation of 2408.16673."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from polychromic.core.errors import InputError

if TYPE_CHECKING:
    from torch import Tensor

SLOPE = 0.01
"""How fast the log-sigmoid weight moves from 0 to 1 with the logits' difference, as in the paper's experiments."""


@dataclass(frozen=True)
class Gem:
    """``-sum_y sg[q(y) w(y)] (log p(y*) - log p(y))`` with ``q = softmax(logits / beta)`` (2408.16673).

    ``weight`` is ``linear`` (``w = 1``) or ``log_sigmoid`` (``w(y) = sigmoid(0.01 (logit(y) - logit(y*)))``).
    """

    beta: float = 0.7
    weight: Literal["linear", "log_sigmoid"] = "linear"

    def __post_init__(self) -> None:
        if not self.beta > 0.0:
            raise InputError(f"gem: beta must be positive, not {self.beta}")
        if self.weight not in ("linear", "log_sigmoid"):
            raise InputError(f"gem: weight must be linear or log_sigmoid, not {self.weight!r}")

    def loss(self, logits: Tensor, labels: Tensor, items: Tensor | int | None = None) -> Tensor:
        """A scalar; logits [b, t, v], labels [b, t] with -100 where nothing is to be learnt."""
        import torch

        from polychromic.objective.targets import mean_over_targets, targets

        scores, wanted = targets(logits, labels)
        scores = scores.float()
        logp = torch.log_softmax(scores, dim=-1)
        with torch.no_grad():
            mass = torch.softmax(scores / self.beta, dim=-1)
            if self.weight == "log_sigmoid":
                mass = mass * torch.sigmoid(SLOPE * (scores - scores.gather(-1, wanted[:, None])))
        gap = logp.gather(-1, wanted[:, None]) - logp
        return mean_over_targets(-(mass * gap).sum(dim=-1), items)
