"""The numbers a run logs: means over the steps since the last log, over all ranks."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

NAMES = (
    "diversity_value",
    "diversity_target",
    "similarity",
    "gate_rate",
    "dead_share",
    "unique_ratio",
    "truncated_share",
    "mean_length",
    "tokens_generated",
    "sample_entropy",
    "logprob_gap",
    "skipped_examples",
    "failed_draws",
    "lambda",
    "lambda_eff",
    "junk_monitor",
    "demonstration_gradient",
    "diversity_gradient",
    "gradient_ratio",
    "gradient_share",
    "gradient_cosine",
    "seconds_sampling",
    "seconds_judging",
    "seconds_scoring",
    "seconds_demonstration",
)
"""Everything that may be logged, in the order the ranks add it up in."""

AddUp = Callable[[Tensor], Tensor]


@dataclass
class Means:
    """Sums and counts by name; NaN is not counted."""

    sums: dict[str, float] = field(default_factory=dict)
    counts: dict[str, int] = field(default_factory=dict)

    def add(self, name: str, value: float) -> None:
        """Takes one value."""
        if name not in NAMES:
            raise KeyError(name)
        if math.isfinite(value):
            self.sums[name] = self.sums.get(name, 0.0) + value
            self.counts[name] = self.counts.get(name, 0) + 1

    def update(self, values: Mapping[str, float]) -> None:
        """Takes one value for each name."""
        for name, value in values.items():
            self.add(name, value)

    def take(self, add_up: AddUp, loss: float | None) -> dict[str, float]:
        """The means over all ranks, and with ``loss`` (the SFT loss) the two parts' sum; starts anew.

        ``combined_loss = quality_loss - lambda * diversity_value``; names without a value are left out.
        """
        table = torch.tensor([[self.sums.get(name, 0.0), float(self.counts.get(name, 0))] for name in NAMES])
        table = add_up(table.double())
        self.sums, self.counts = {}, {}
        means = {name: float(s / n) for name, (s, n) in zip(NAMES, table.tolist(), strict=True) if n}
        if loss is not None:
            means["quality_loss"] = loss
            if "diversity_value" in means:
                means["combined_loss"] = loss - means["lambda"] * means["diversity_value"]
        return means


def mean_over_ranks(accelerator: Any, values: Sequence[float]) -> list[float]:
    """Each value's mean over the ranks that have one; NaN counts as none."""
    if accelerator.num_processes == 1:
        return list(values)
    table = torch.tensor([[value if math.isfinite(value) else 0.0, float(math.isfinite(value))] for value in values])
    return [s / n if n else math.nan for s, n in add_over_ranks(accelerator)(table).tolist()]


def add_over_ranks(accelerator: Any) -> AddUp:
    """Sums a tensor over the ranks of a run."""

    def add_up(table: Tensor) -> Tensor:
        total: Tensor = accelerator.reduce(table.float().to(accelerator.device), "sum")
        return total.cpu()

    return add_up
