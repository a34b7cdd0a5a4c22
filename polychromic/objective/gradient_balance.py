"""How the loss's two gradients stand to each other: their norms, their ratio and their angle.

Measured on a subset of the parameters, by default the ones nearest the loss, so that the extra backward passes stop
early.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor
from torch.nn import Parameter


@dataclass(frozen=True)
class GradientBalance:
    """Norms of the demonstration gradient and of the weighted diversity gradient, their ratio and cosine.

    ``ratio`` is diversity over demonstration; ``cosine`` in [-1, 1]; both NaN where a norm they need is 0.
    """

    demonstration_norm: float
    diversity_norm: float
    ratio: float
    cosine: float

    @classmethod
    def of_products(cls, products: Tensor) -> GradientBalance:
        """From ``[<s,s>, <d,d>, <s,d>]`` of the two gradients."""
        ss, dd, sd = (float(value) for value in products)
        one, two = math.sqrt(max(ss, 0.0)), math.sqrt(max(dd, 0.0))
        ratio = two / one if one > 0 else math.nan
        cosine = max(-1.0, min(1.0, sd / (one * two))) if one > 0 and two > 0 else math.nan
        return cls(one, two, ratio, cosine)

    @property
    def share(self) -> float:
        """The diversity gradient's part of the two norms' sum, in [0, 1]; NaN where both are 0."""
        both = self.demonstration_norm + self.diversity_norm
        return self.diversity_norm / both if both > 0 else math.nan

    def report(self) -> dict[str, float]:
        """What a run logs."""
        return {
            "polychromic/demonstration_gradient": self.demonstration_norm,
            "polychromic/diversity_gradient": self.diversity_norm,
            "polychromic/gradient_ratio": self.ratio,
            "polychromic/gradient_share": self.share,
            "polychromic/gradient_cosine": self.cosine,
        }


def gradient(loss: Tensor, parameters: Sequence[Tensor]) -> Tensor:
    """The gradient of a scalar as one float32 (or float64) vector; zeros where it does not reach. Keeps the graph."""
    wide = torch.float64 if loss.dtype == torch.float64 else torch.float32
    if not loss.requires_grad:
        return torch.zeros(sum(p.numel() for p in parameters), device=loss.device, dtype=wide)
    found = torch.autograd.grad(loss, list(parameters), retain_graph=True, allow_unused=True)
    parts = [
        torch.zeros_like(p, dtype=wide) if g is None else g.detach().to(wide)
        for p, g in zip(parameters, found, strict=True)
    ]
    return torch.cat([part.reshape(-1) for part in parts])


@dataclass
class GradientWindow:
    """Adds up both gradients over an accumulation window, as the optimizer sees them.

    Terms are to be scaled as they enter the loss. ``add_ranks`` sums (or averages, as the engine does with gradients) a
    vector over the ranks of a distributed run.
    """

    parameters: Sequence[Tensor]
    add_ranks: Callable[[Tensor], Tensor] = field(default=lambda vector: vector)
    _sums: list[Tensor | None] = field(default_factory=lambda: [None, None])

    def add(self, demonstration: Tensor | None, diversity: Tensor | None) -> None:
        """Takes a micro-batch's terms before their backward pass; None for a term that is not in it."""
        terms = (demonstration, diversity)
        self.add_gradients(*(None if term is None else gradient(term, self.parameters) for term in terms))

    def add_gradients(self, demonstration: Tensor | None, diversity: Tensor | None) -> None:
        """The same from the terms' gradients, as ``gradient`` gives them."""
        for slot, new in enumerate((demonstration, diversity)):
            if new is not None:
                old = self._sums[slot]
                self._sums[slot] = new if old is None else old + new

    def mark(self) -> Callable[[], None]:
        """Puts the sums back to what they are now, for a term that is to be run again."""
        now = list(self._sums)

        def undo() -> None:
            self._sums[:] = now

        return undo

    def close(self) -> GradientBalance:
        """The balance over the window; starts a new one."""
        empty = torch.zeros(sum(p.numel() for p in self.parameters))
        one, two = (self.add_ranks(empty if total is None else total) for total in self._sums)
        self._sums = [None, None]
        two = two.to(one.device)
        return GradientBalance.of_products(torch.stack([one @ one, two.to(one) @ two.to(one), one @ two.to(one)]))


def cheap_subset(parameters: Iterable[Parameter], share: float = 0.1) -> list[Parameter]:
    """The last trainable parameters (nearest the loss), at least one, at most ``share`` of their count of tensors."""
    trainable = [parameter for parameter in parameters if parameter.requires_grad]
    return trainable[-max(1, math.floor(share * len(trainable))) :] if trainable else []
