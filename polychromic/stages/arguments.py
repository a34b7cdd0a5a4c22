"""The arguments of TRL's trainer that a configuration amounts to on this machine."""

from __future__ import annotations

from typing import Any

from polychromic.core.errors import at_fault
from polychromic.records.artefacts import RunFolder
from polychromic.settings import catalog
from polychromic.settings.schema import SavingSection, Settings
from polychromic.stages import held_out
from polychromic.stages.models import resolve

LORA = {"r": 16, "lora_alpha": 32, "target_modules": "all-linear", "task_type": "CAUSAL_LM"}
SAVE_STEPS = 200
KEPT_CHECKPOINTS = 3


def sft_arguments(settings: Settings, folder: RunFolder) -> Any:
    """TRL's arguments: the section ``training``, with defaults that suit the machine."""
    import torch

    from polychromic.training.launchers import shards
    from polychromic.training.sharding import shard_on_cpu
    from polychromic.training.tracking import trackers
    from polychromic.training.trainer import SFTConfig

    gpu = torch.cuda.is_available() and not settings.training.get("use_cpu")
    chosen: dict[str, Any] = {
        "bf16": gpu and torch.cuda.is_bf16_supported(),
        "use_cpu": not gpu,
        "gradient_checkpointing": gpu,
        "save_steps": SAVE_STEPS,
        "save_total_limit": KEPT_CHECKPOINTS,
        "completion_only_loss": settings.data.completion_only_loss,
        "dataloader_pin_memory": gpu,
        "ddp_find_unused_parameters": False,
    }
    if catalog.split(settings.polychromic.demonstration_loss)[0] != "nll":
        chosen["include_num_input_tokens_seen"] = "non_padding"  # SFTTrainer counts tokens in its own loss only
    theirs = {name: value for name, value in settings.training.items() if name not in SavingSection.model_fields}
    owned = {
        "output_dir": str(folder.checkpoints),
        "run_name": settings.experiment.name,
        "seed": settings.experiment.seed,
        "data_seed": settings.experiment.seed,
        "report_to": trackers(settings.training.get("report_to")),
        "push_to_hub": False,
        "disable_tqdm": True,
        "logging_nan_inf_filter": False,
    }
    with at_fault("training"):
        found = SFTConfig(**{**chosen, **held_out.defaults(settings), **theirs, **owned})
    if shards():
        shard_on_cpu()
    return found


def save_minutes(settings: Settings) -> float | None:
    """Minutes between two checkpoints by the clock; None: none."""
    own = SavingSection.model_fields.keys() & settings.training.keys()
    return SavingSection(**{name: settings.training[name] for name in own}).save_minutes


def lora_config(settings: Settings) -> Any:
    """PEFT's configuration of the section ``lora``.

    Raises:
        InputError: PEFT refuses it, or the base has none of its modules; the base's weights are not read for that.
    """
    from peft import LoraConfig

    from polychromic.policy.adapter_check import refuse_unknown_modules

    with at_fault("lora"):
        found = LoraConfig(**{**LORA, **settings.lora})
    refuse_unknown_modules(resolve(settings.model), found)
    return found
