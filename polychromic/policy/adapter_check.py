"""That an adapter fits a base and is whole, found without loading a weight."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import torch

from polychromic.core.errors import InputError, MissingResourceError, at_fault
from polychromic.policy.load import adapter_config, refuse_missing_keys, refuse_other_base
from polychromic.settings.schema import ModelSection


def refuse_unknown_modules(base: ModelSection, config: Any) -> None:
    """Raises InputError when PEFT finds none of the modules that its ``config`` names on the base, without its weights.

    A base that cannot be built without them is left to those who load it.
    """
    from peft import get_peft_model

    try:
        bare = _skeleton(base)
    except Exception:  # noqa: BLE001 - whatever a library thinks of this base, its loading says better
        return
    with at_fault("lora"), torch.device("meta"):
        get_peft_model(bare, copy.deepcopy(config), low_cpu_mem_usage=True)


def refuse_unfit(folder: Path, base: ModelSection, largest_rank: int) -> None:
    """Nothing when the adapter's file has every weight that its configuration asks for on this base, and no other.

    For engines that take an adapter as a folder and leave out what is missing, unsaid.

    Raises:
        MissingResourceError: there is no adapter, or no such base.
        InputError: it belongs to another base, is not whole, or has a rank above ``largest_rank``.
    """
    from peft import PeftConfig, get_peft_model

    written = adapter_config(folder)
    rank = max([written.get("r") or 0, *(written.get("rank_pattern") or {}).values()])
    if rank > largest_rank:
        raise InputError(f"{folder}: the adapter has rank {rank}; the engine was given max_lora_rank {largest_rank}")
    with at_fault(f"model {base.name_or_path}: cannot be read", MissingResourceError):
        bare = _skeleton(base)
    refuse_other_base(folder, bare)
    with at_fault(f"{folder}: the adapter does not fit the base"):
        adapted = get_peft_model(bare, PeftConfig.from_pretrained(str(folder)), low_cpu_mem_usage=True)
    refuse_missing_keys(folder, adapted, "default")


def _skeleton(base: ModelSection) -> Any:
    """The base's modules without a weight."""
    from transformers import AutoConfig, AutoModelForCausalLM

    trusted = base.trust_remote_code
    with torch.device("meta"):
        config = AutoConfig.from_pretrained(base.name_or_path, revision=base.revision, trust_remote_code=trusted)
        return AutoModelForCausalLM.from_config(config, trust_remote_code=trusted)
