"""The adapter's own precision, kept when a run is taken up again."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments


class AdapterPrecision(TrainerCallback):  # type: ignore[misc]
    """Gives the adapter of a resumed run, and what the optimizer knows of it, the precision that it was trained in.

    TRL trains an adapter on 4-bit weights in bfloat16, as QLoRA does (2305.14314), and PEFT loads it in float32; the
    steps after a stop would be others than without one. What a checkpoint holds was bfloat16, so nothing is rounded.
    """

    def __init__(self, model: nn.Module) -> None:
        self._types = {name: p.dtype for name, p in model.named_parameters() if p.requires_grad}

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Undoes what loading a checkpoint has widened."""
        known = getattr(kwargs.get("optimizer"), "state", {})
        for name, parameter in kwargs["model"].named_parameters():
            wanted = self._types.get(name.removeprefix("module."))
            if wanted is None or parameter.dtype == wanted:
                continue
            parameter.data = parameter.data.to(wanted)
            for key, value in known.get(parameter, {}).items():
                if isinstance(value, torch.Tensor) and value.shape == parameter.shape:
                    known[parameter][key] = value.to(wanted)
