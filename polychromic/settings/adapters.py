"""Which adapters are served: those that leave the base as it is, and that evaluate as they were trained.

Everything here rests on the model without its adapter being the base: the likelihood gate, the untrained row of an
evaluation, several adapters on one base.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

KINDS = ("LORA",)
INITS = (True, False, "gaussian", "orthogonal", "mica")
"""The beginnings that change no weight of the base and need nothing that is not given here."""
SERVED = {
    "r",
    "lora_alpha",
    "lora_dropout",
    "target_modules",
    "exclude_modules",
    "target_parameters",
    "fan_in_fan_out",
    "use_rslora",
    "use_dora",
    "modules_to_save",
    "layers_to_transform",
    "layers_pattern",
    "rank_pattern",
    "alpha_pattern",
}
SET_BY_PEFT = {
    "base_model_name_or_path",
    "revision",
    "inference_mode",
    "peft_version",
    "auto_mapping",
    "parent_library",
    "megatron_core",
    "qalora_group_size",
}
"""What an adapter's file says whatever was chosen; the last two mean nothing without what is not served."""
ENDS = ("lm_head", "embed_tokens")
WHOLE = ("use_dora", "modules_to_save")
"""Under these the trained change is no multiple of a scale."""


def refusal(config: Mapping[str, Any]) -> tuple[str, str] | None:
    """The first key of an adapter's configuration that is not served, with the reason; None when all are.

    ``config`` holds PEFT's names, from a configuration's section ``lora`` or from ``adapter_config.json``.
    """
    for key, value in sorted(config.items(), key=lambda item: item[0] != "peft_type"):
        if reason := _reason(key, value):
            return key, reason
    return None


def unscaled(config: Mapping[str, Any]) -> list[str]:
    """What of an adapter ``RUN*0.5`` could not halve."""
    return [key for key in WHOLE if config.get(key)]


def _reason(key: str, value: Any) -> str:
    match key:
        case "peft_type" if value not in (None, *KINDS):
            kind = getattr(value, "value", value)
            return f"{kind} is not served: it can neither be sampled from nor scored here; allowed: {_listed(KINDS)}"
        case "task_type" if value not in (None, "CAUSAL_LM"):
            return f"{value} is not served; allowed: CAUSAL_LM"
        case "bias" if value in ("all", "lora_only"):
            return f"{value} trains the base's own biases, so without its adapter it is not the base; allowed: none"
        case "init_lora_weights" if value not in (None, *INITS):
            return (
                f"{value} is not served: such a beginning moves the base's weights (without its adapter it is not the "
                f"base) or takes preparation that is not made here; allowed: {_listed(INITS)}"
            )
        case "target_modules" if ends := [name for name in ENDS if isinstance(value, list) and name in value]:
            return f"{ends[0]} cannot be adapted: its plain weights are read and saved; name it in modules_to_save"
        case "peft_type" | "task_type" | "bias" | "init_lora_weights":
            return ""
    if value and key not in SERVED | SET_BY_PEFT:
        return "is not served: nothing shows that such an adapter leaves the base alone and evaluates as it was trained"
    return ""


def _listed(values: Iterable[Any]) -> str:
    return ", ".join(str(value).lower() if isinstance(value, bool) else str(value) for value in values)
