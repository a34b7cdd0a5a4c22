"""TRL's arguments of a run: the section ``training`` over defaults that suit the machine and what is looked at."""

from __future__ import annotations

from typing import Any

from polychromic.records.artefacts import RunFolder
from polychromic.settings import catalog
from polychromic.settings.schema import Settings
from polychromic.stages import held_out

SAVE_STEPS = 200
KEPT_CHECKPOINTS = 3


def arguments(settings: Settings, folder: RunFolder) -> Any:
    """An SFTConfig."""
    import torch

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
    owned = {
        "output_dir": str(folder.checkpoints),
        "run_name": settings.experiment.name,
        "seed": settings.experiment.seed,
        "data_seed": settings.experiment.seed,
        "report_to": [],
        "disable_tqdm": True,
        "logging_nan_inf_filter": False,
    }
    return SFTConfig(**{**chosen, **held_out.defaults(settings), **settings.training, **owned})
