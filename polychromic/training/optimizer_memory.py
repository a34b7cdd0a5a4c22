"""The optimizer's first step, which makes its state, is repeated with less memory where the device has too little."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from polychromic.training.health import Health


class OptimizerMemory(TrainerCallback):  # type: ignore[misc]
    """Until one step has succeeded, one that runs out of memory is undone, and done again parameter by parameter.

    Weights and state are kept in the processor's memory for that long only: later steps need no more than the first.
    """

    def __init__(self, health: Health) -> None:
        self.health = health

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Puts itself in front of the optimizer's step, until that has succeeded once."""
        optimizer = getattr(kwargs["optimizer"], "optimizer", kwargs["optimizer"])
        plain = optimizer.step

        def step(*given: Any, **named: Any) -> Any:
            undo = undoing(optimizer)
            try:
                done = plain(*given, **named)
            except torch.OutOfMemoryError:
                pass  # the retry must not hold on to what the error's traceback holds
            else:
                optimizer.step = plain
                return done
            undo()
            for group in optimizer.param_groups:
                group.update({name: False for name in ("foreach", "fused") if name in group})
            if torch.cuda.is_available():
                torch.cuda.empty_cache()
            said = "the device had too little memory for the optimizer's step; it is done parameter by parameter"
            self.health.found("memory for the optimizer", said, state.global_step + 1)
            optimizer.step = plain
            return plain(*given, **named)

        optimizer.step = step


def undoing(optimizer: torch.optim.Optimizer) -> Callable[[], None]:
    """Puts weights and state back to what they are now."""
    weights = [each for group in optimizer.param_groups for each in group["params"]]
    held = [each.detach().cpu().clone() for each in weights]
    states = {each: {name: _kept(value) for name, value in found.items()} for each, found in optimizer.state.items()}

    def undo() -> None:
        with torch.no_grad():
            for weight, before in zip(weights, held, strict=True):
                weight.copy_(before)
        optimizer.state.clear()
        for weight, found in states.items():
            optimizer.state[weight] = {name: _back(value) for name, value in found.items()}

    return undo


def _kept(value: Any) -> Any:
    """A state's value with the device it was on."""
    return (value.detach().cpu().clone(), value.device) if isinstance(value, torch.Tensor) else value


def _back(value: Any) -> Any:
    return value[0].to(value[1]) if isinstance(value, tuple) else value
