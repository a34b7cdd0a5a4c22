"""What a run does when its numbers are none."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from polychromic.core.errors import NumericalError

BAD_STEPS = 3
"""Steps in a row whose gradients are not numbers, after which the run stops."""


class FiniteSteps(TrainerCallback):  # type: ignore[misc]
    """Does not apply a step whose gradients are not finite, and stops after ``BAD_STEPS`` of them in a row."""

    def __init__(self) -> None:
        self.skipped = 0
        self._row = 0

    def on_pre_optimizer_step(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Looks at the gradients before they are applied.

        Raises:
            NumericalError: too many steps in a row.
        """
        if gradients_are_finite(kwargs["model"]):
            self._row = 0
            return
        for parameter in kwargs["model"].parameters():
            parameter.grad = None
        self.skipped += 1
        self._row += 1
        if self._row >= BAD_STEPS:
            raise NumericalError(
                f"step {state.global_step}: the gradients were not numbers {self._row} times in a row; "
                "lower the learning rate or look at the data"
            )


def gradients_are_finite(model: nn.Module) -> bool:
    """Whether every gradient is a finite number; the ranks agree, as they hold the same gradients."""
    found = [p.grad.detach().abs().max() for p in model.parameters() if p.grad is not None and p.grad.numel()]
    return not found or bool(torch.isfinite(torch.stack([value.float() for value in found])).all())


def refuse_bad_weights(model: nn.Module) -> None:
    """Raises NumericalError when a trained weight is not a finite number, so that it is never saved as a result."""
    for name, parameter in model.named_parameters():
        if parameter.requires_grad and not bool(torch.isfinite(parameter.detach()).all()):
            raise NumericalError(f"{name}: the trained weights are not numbers; nothing was saved")
