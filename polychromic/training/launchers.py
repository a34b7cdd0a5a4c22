"""What a launcher asks for in the environment, and what of it this package has tested: the rest is refused by name.

accelerate hands its configuration over in variables, and transformers reads some of them and drops others without a
word. Nothing that was asked for is replaced here.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from typing import Any

from polychromic.core.errors import InputError
from polychromic.settings.schema import HarvestSection
from polychromic.training.ranks import Ranks

SERVED = "one process, DDP (config/accelerate/ddp_2.yaml), and FSDP2 (config/accelerate/fsdp_2.yaml)"
STRATEGIES = {
    "ACCELERATE_USE_DEEPSPEED": "DeepSpeed (ZeRO-1, 2 and 3), whose backward pass takes an optimizer step of its own "
    "for the diversity term, which changes lambda",
    "ACCELERATE_USE_MEGATRON_LM": "Megatron-LM",
    "ACCELERATE_USE_PARALLELISM_CONFIG": "tensor, sequence and context parallelism",
    "ACCELERATE_USE_SAGEMAKER": "SageMaker",
}
"""accelerate's switches for ways to share a model that were never tried with the diversity term."""
SHARDING = {
    "FSDP_CPU_RAM_EFFICIENT_LOADING": ("false", "as the likelihood gate asks the whole base before it is shared out"),
    "FSDP_OFFLOAD_PARAMS": ("false", "as weights on the CPU were never tried"),
    "FSDP_ACTIVATION_CHECKPOINTING": ("false", "as training.gradient_checkpointing does it"),
    "FSDP_STATE_DICT_TYPE": ("FULL_STATE_DICT", "so that a checkpoint fits any number of ranks"),
}
"""What FSDP2 may be told, and why nothing else."""
PRECISIONS = {"bf16": "bf16", "fp16": "fp16"}
"""accelerate's ``mixed_precision``, and transformers' switch for it."""


def refuse_untested(training: Mapping[str, Any], quantization: Mapping[str, Any] | None) -> None:
    """Raises InputError where the launcher, or the section ``training``, asks for what is not tested or not possible.

    Decided before a model is loaded.
    """
    for reason in _reasons(training, quantization, os.environ):
        raise InputError(reason)


def refuse_drawing(harvest: HarvestSection | None, ranks: Ranks) -> None:
    """Raises InputError where several ranks would have to draw the harvest that they learn from."""
    if harvest is not None and harvest.path is None and ranks.count > 1:
        raise InputError(
            f"data.harvest: {ranks.count} ranks learn from a pool that one process draws before: "
            "`polychromic harvest CONFIG --out POOL`, then data.harvest.path=POOL"
        )


def _reasons(
    training: Mapping[str, Any], quantization: Mapping[str, Any] | None, environment: Mapping[str, str]
) -> Iterator[str]:
    for switch, name in STRATEGIES.items():
        if _on(environment.get(switch)):
            yield f"the launcher asks for {name}; tested are {SERVED}"
    if (compiler := environment.get("ACCELERATE_DYNAMO_BACKEND", "no").lower()) != "no":
        yield f"the launcher asks for torch.compile ({compiler}), which sampling is not tested with; leave it out"
    yield from _sharding(training, quantization, environment)
    yield from _precision(training, quantization, environment.get("ACCELERATE_MIXED_PRECISION", "no").lower())
    steps, own = environment.get("ACCELERATE_GRADIENT_ACCUMULATION_STEPS", "1"), "gradient_accumulation_steps"
    if steps not in ("1", "auto", str(training.get(own, 1))):
        yield f"the launcher asks for {own} {steps}, which transformers drops; set training.{own}"


def _sharding(
    training: Mapping[str, Any], quantization: Mapping[str, Any] | None, environment: Mapping[str, str]
) -> Iterator[str]:
    if not shards(environment):
        return
    if environment.get("FSDP_VERSION", "1") != "2":
        yield f"the launcher asks for FSDP1, which was never tried; tested are {SERVED}"
    for name, (allowed, why) in SHARDING.items():
        if (value := environment.get(name, allowed)).upper() != allowed.upper():
            yield f"the launcher asks for {name.lower()} {value}; allowed: {allowed.lower()}, {why}"
    if quantization:
        yield (
            "FSDP2 under the section quantization is not tested; allowed: quantization: null "
            "(config/experiments/bf16), or DDP"
        )


def shards(environment: Mapping[str, str] = os.environ) -> bool:
    """Whether the launcher asks for weights that are shared out over the ranks."""
    return _on(environment.get("ACCELERATE_USE_FSDP"))


def _precision(training: Mapping[str, Any], quantization: Mapping[str, Any] | None, wanted: str) -> Iterator[str]:
    if wanted == "fp8":
        under = " under the 4-bit section quantization" if quantization else ""
        yield f"the launcher asks for mixed precision fp8{under}, which is not tested; allowed: no, bf16, fp16"
    for name, key in PRECISIONS.items():
        other = next(key for key in PRECISIONS.values() if key != name)
        if wanted == name and (training.get(key) is False or training.get(other)):
            yield f"the launcher asks for mixed precision {name}, and training.{key} is off; let them say the same"


def _on(value: str | None) -> bool:
    return (value or "").lower() in ("1", "true", "yes", "on")
