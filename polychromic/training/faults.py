"""What a run does when its numbers are none."""

from __future__ import annotations

import errno
import math
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import nn
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from polychromic.core.errors import DiskError, NumericalError
from polychromic.policy.sharded import local, units
from polychromic.training.health import Health
from polychromic.training.ranks import present

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
"""A full disk, quota, or limit on a file's size."""
BAD_STEPS = 3
"""Steps in a row whose gradients are not numbers, after which the run stops."""


class FiniteSteps(TrainerCallback):  # type: ignore[misc]
    """Does not apply a step whose gradients are not finite, and stops after ``BAD_STEPS`` of them in a row.

    ``health`` is told of these, and of gradients that are all 0.
    """

    def __init__(self, health: Health | None = None) -> None:
        self.health = health
        self.skipped = 0
        self._row = 0

    def on_pre_optimizer_step(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Looks at the gradients before they are applied.

        Raises:
            NumericalError: too many steps in a row.
        """
        largest = largest_gradient(kwargs["model"])
        if largest == 0.0:
            self._found(
                state, "zero gradient", "the gradient of a step is 0: is anything trainable, is there a target?"
            )
        if math.isfinite(largest):
            self._row = 0
            return
        self._found(state, "gradient that is no number", "the gradient of a step is no number; it was not applied")
        for parameter in kwargs["model"].parameters():
            parameter.grad = None
        self.skipped += 1
        self._row += 1
        if self._row >= BAD_STEPS:
            raise NumericalError(
                f"step {state.global_step}: the gradients were not numbers {self._row} times in a row; "
                "lower the learning rate or look at the data"
            )

    def _found(self, state: TrainerState, kind: str, text: str) -> None:
        if self.health is not None:
            self.health.found(kind, text, state.global_step + 1)


def largest_gradient(model: nn.Module) -> float:
    """The largest absolute value of a gradient, NaN or infinite where one is; 0 without any gradient.

    The ranks agree, as they hold the same gradients, or ask each other where these are shared out.
    """
    parts = [local(p.grad.detach()) for p in model.parameters() if p.grad is not None]
    found = [part.abs().max().float() for part in parts if part.numel()]
    largest = float(torch.stack(found).max()) if found else 0.0
    if not units(model):
        return largest
    return present().largest([largest if math.isfinite(largest) else math.inf])[0]


def refuse_bad_weights(model: nn.Module) -> None:
    """Raises NumericalError when a trained weight is not a finite number, so that it is never saved as a result."""
    for name, parameter in model.named_parameters():
        if parameter.requires_grad and not bool(torch.isfinite(local(parameter.detach())).all()):
            raise NumericalError(f"{name}: the trained weights are not numbers; nothing was saved")


@contextmanager
def saving_in(folder: Path) -> Iterator[None]:
    """Within it a disk that is full says so, also through libraries that have other words for it.

    Raises:
        DiskError: what is to be saved finds no room.
    """
    try:
        yield
    except Exception as error:
        if not _is_full(error):
            raise
        raise DiskError(
            f"{folder}: no space left on the disk, or in its quota; what was saved before is whole, and the same "
            "command continues when there is room"
        ) from error


def _is_full(error: BaseException | None) -> bool:
    """Whether an error, or what led to it, is that of a full disk: safetensors and torch raise errors of their own."""
    if error is None:
        return False
    if isinstance(error, OSError) and error.errno is not None:
        return error.errno in FULL
    words = str(error)
    told = any(f"os error {number}" in words for number in FULL) or "PytorchStreamWriter" in words
    return told or _is_full(error.__cause__ or error.__context__)
